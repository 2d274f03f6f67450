# SPDX-License-Identifier: GPL-2.0-only
"""The host's side of the tests: rows of test cases as items of pytest.

A row is what runs in one go: a boot of a guest, a program of the host-side tests, or a
script. It prints TAP (Test Anything Protocol). A case is one result line of a row. Tests in
Python are functions test_*() in files test_*.py, as pytest collects them.

settings  what was asked for: mode, kernels, machines, jobs
cases     the cases that the C sources define
tap       result lines as a row prints them
row       a row as a process whose results are waited for
host      rows of this machine
suites    directories whose tests are functions in Python
command   helpers of those tests: run a command, build a module, make a directory
guest     rows of an emulated machine
coverage  lines of src/ that ran in the guests of a debug kernel
evidence  Documentation/evidence.rst and the tests that it names, for scripts/check-evidence
plugin    pytest's hooks: rows to items, selection, reports
"""
