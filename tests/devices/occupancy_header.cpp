// Runs NVIDIA's own calculator (cuda_occupancy.h) on the cases that come in on stdin, one a line.
#include <cstdio>

#include "cuda_occupancy.h"

int main() {
    int major, minor, warps, shared_sm, shared_block, shared_optin, reserved;
    int threads, registers, static_bytes, dynamic_bytes, barriers;
    while (std::scanf("%d %d %d %d %d %d %d %d %d %d %d %d", &major, &minor, &warps, &shared_sm,
                      &shared_block, &shared_optin, &reserved, &threads, &registers, &static_bytes,
                      &dynamic_bytes, &barriers) == 12) {
        cudaOccDeviceProp device;
        device.computeMajor = major;
        device.computeMinor = minor;
        device.maxThreadsPerBlock = 1024;
        device.maxThreadsPerMultiprocessor = warps * 32;
        device.regsPerBlock = 65536;
        device.regsPerMultiprocessor = 65536;
        device.warpSize = 32;
        device.sharedMemPerBlock = shared_block;
        device.sharedMemPerMultiprocessor = shared_sm;
        device.numSms = 1;
        device.sharedMemPerBlockOptin = shared_optin;
        device.reservedSharedMemPerBlock = reserved;
        cudaOccFuncAttributes function;
        function.maxThreadsPerBlock = 1024;
        function.numRegs = registers;
        function.sharedSizeBytes = static_bytes;
        function.shmemLimitConfig = FUNC_SHMEM_LIMIT_OPTIN;
        function.maxDynamicSharedSizeBytes = dynamic_bytes;
        function.numBlockBarriers = barriers;
        cudaOccDeviceState state;
        cudaOccResult result;
        cudaOccError status = cudaOccMaxActiveBlocksPerMultiprocessor(
            &result, &device, &function, &state, threads, dynamic_bytes);
        std::printf("%d %d %u %d %d\n", static_cast<int>(status),
                    result.activeBlocksPerMultiprocessor, result.limitingFactors,
                    result.allocatedRegistersPerBlock,
                    static_cast<int>(result.allocatedSharedMemPerBlock));
    }
}
