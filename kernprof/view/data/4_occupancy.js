// NVIDIA's occupancy rules, as kernprof.devices.occupancy has them; a test compares the two.

function occupancy(arch, threads, registers, shared) {
  const up = (value, unit) => Math.ceil(value / unit) * unit;
  const warps = Math.ceil(threads / 32);
  const limits = { blocks: arch.max_blocks_per_sm };
  limits.warps = threads <= arch.max_threads_per_block ? Math.floor(arch.max_warps_per_sm / warps) : 0;
  if (registers) {
    const perWarp = up(registers * 32, arch.register_unit);
    const assumed = perWarp * up(warps, Math.max(arch.sub_partitions, 4));
    if (assumed > arch.registers_per_block || registers > arch.max_registers_per_thread) limits.registers = 0;
    else limits.registers = Math.floor(
      Math.floor(Math.floor(arch.registers_per_sm / arch.sub_partitions) / perWarp) * arch.sub_partitions / warps);
  }
  const allocated = up(shared + arch.shared_reserved_per_block_bytes, arch.shared_unit_bytes);
  if (shared > arch.shared_per_block_optin_bytes) limits.shared_mem = 0;
  else if (allocated) limits.shared_mem = Math.floor(arch.shared_per_sm_bytes / allocated);
  const blocks = Math.min(...Object.values(limits));
  return {
    blocks, warps: blocks * warps, pct: 100 * blocks * warps / arch.max_warps_per_sm,
    limiters: Object.keys(limits).filter((name) => limits[name] === blocks), limits,
  };
}
window.kernprofOccupancy = (index, threads, registers, shared) =>
  occupancy(DATA.devices[index].arch, threads, registers, shared);

const FIELDS = { threads: "occ-threads", registers: "occ-registers", shared: "occ-shared" };

function readOccupancy() {
  const field = (id, low, high) => {
    const value = Math.round(Number(document.getElementById(id).value));
    return Number.isFinite(value) ? Math.max(low, Math.min(high, value)) : low;
  };
  return {
    arch: DATA.devices[document.getElementById("occ-gpu").value].arch,
    threads: field(FIELDS.threads, 1, 2048), registers: field(FIELDS.registers, 0, 512), shared: field(FIELDS.shared, 0, 1 << 20),
  };
}

function drawOccupancy() {
  const { arch, threads, registers, shared } = readOccupancy();
  const now = occupancy(arch, threads, registers, shared);
  const limits = Object.entries(now.limits).map(([name, blocks]) => `${name.replace("_", " ")} ${blocks}`).join(", ");
  document.getElementById("occ-result").textContent = now.blocks
    ? `${num(now.pct)} %: ${now.blocks} block(s), ${now.warps} of ${arch.max_warps_per_sm} warps an SM; limited by ${now.limiters.join(", ").replace("_", " ")}. Blocks each limit allows: ${limits}.`
    : `This launch can't run on this GPU. Blocks each limit allows: ${limits}.`;
  const over = (end, step, from, make) => {
    const points = [];
    for (let v = from; v <= end; v += step) points.push([v, make(v).pct]);
    return points;
  };
  replace("occ-curves",
    curve("threads per block", over(arch.max_threads_per_block, 32, 32, (v) => occupancy(arch, v, registers, shared)), [threads, now.pct]),
    curve("registers per thread", over(arch.max_registers_per_thread, 1, 1, (v) => occupancy(arch, threads, v, shared)), [registers, now.pct]),
    curve("shared memory per block", over(arch.shared_per_block_optin_bytes, 512, 0, (v) => occupancy(arch, threads, registers, v)), [shared, now.pct], (v) => `${num(v / 1024, 0)} KiB`));
}

function fillOccupancy(launch) {
  const gpu = document.getElementById("occ-gpu");
  const at = DATA.devices.findIndex((d) => d.key === launch.device);
  if (at >= 0) gpu.value = String(at);
  const name = launch.gpu.name || NONE, told = launch.table_v.theoretical_occupancy_pct;
  const rules = at < 0 ? `${name} is not in the table: the rules are those of the GPU chosen here.`
    : `${name}: rules of ${DATA.devices[at].arch.name}.`;
  document.getElementById("occ-launch").textContent = told === null ? rules : `${rules} The profile itself tells ${num(told)} %.`;
  if (launch.block) document.getElementById(FIELDS.threads).value = launch.block.reduce((a, b) => a * b, 1);
  if (launch.registers !== null) document.getElementById(FIELDS.registers).value = launch.registers;
  const { static: fixed, dynamic } = launch.shared_mem;
  if (fixed !== null && dynamic !== null) document.getElementById(FIELDS.shared).value = fixed + dynamic;
  drawOccupancy();
}

function setUpOccupancy() {
  const gpu = document.getElementById("occ-gpu");
  DATA.devices.forEach((device, i) => gpu.append(el("option", { value: i, text: `${device.name} (${device.arch.name})` })));
  for (const id of ["occ-gpu", ...Object.values(FIELDS)]) document.getElementById(id).addEventListener("input", drawOccupancy);
}
