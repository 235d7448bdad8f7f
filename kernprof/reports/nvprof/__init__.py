"""Readers of nvprof: printed tables (CSV and text) and the SQLite export.

nvprof served GPUs up to compute capability 7.2; Nsight Compute dropped Pascal in 2020, so for a
P100 nvprof is the only counter profiler. Values stand under nvprof's own metric names, and also
under the Nsight Compute name where both are the same quantity (``kernprof.metrics.nvprof``).

Names beyond nvprof's metrics:

``pcsamp_stall_<reason>``
    PC samples by CUPTI's stall reason (``none``: the warp issued), of the SQLite export. Instances
    are keyed by the byte offset of the instruction in the function.
``pcsamp_latency_stall_<reason>``
    Those of them that were taken while the scheduler issued nothing.
``pcsamp_samples``, ``pcsamp_dropped_samples``, ``pcsamp_period_cycles``
    What CUPTI's own record says about the sampling.
``inst_executed``, ``thread_inst_executed``, ``thread_inst_executed_true`` (instances only)
    Executions per instruction, under the names that Nsight Compute has for them.
"""
