"""Runs a module under quotas: the five lines that the package is for, and what they prevent."""
import os

import cordon

host = cordon.Host()
plugin = host.load(os.path.join(os.path.dirname(__file__), 'plugin.wat'))
with host.vm(plugin, memory='16m', fuel=1_000_000) as vm:
    print(vm.call('add', 2, 40))
    try:
        vm.call('spin')
    except cordon.QuotaExhausted as end:
        print(end)
