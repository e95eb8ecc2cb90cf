"""Devices, compiled kernels, buffers and the execution of programs: everything that uses OpenCL.

device = open_device("gpu")
store = VariableStore(device)
executor = Executor(program, device, store)
executor.run({"image": images})
loss = executor.fetch("loss")
"""

import os

# PyOpenCL reads this when it is imported. Its caches fail if their folder cannot be used. The caches of this package
# replace them.
os.environ.setdefault("PYOPENCL_NO_CACHE", "1")

from graphdl.runtime.devices import all_devices, choose, open_device
from graphdl.runtime.exchange import Pending
from graphdl.runtime.executor import Executor
from graphdl.runtime.opencl import Device, open_info, target_of
from graphdl.runtime.profiler import profile
from graphdl.runtime.ranking import DeviceInfo
from graphdl.runtime.variables import VariableStore

__all__ = [
    "Device",
    "DeviceInfo",
    "Executor",
    "Pending",
    "VariableStore",
    "all_devices",
    "choose",
    "open_device",
    "open_info",
    "profile",
    "target_of",
]
