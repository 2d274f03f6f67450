# SPDX-License-Identifier: GPL-2.0-only
"""The host's side of the tests: rows of test cases as items of pytest.

A row is what runs in one go: a boot of a guest, a program of the host-side tests, or a
script. It prints TAP (Test Anything Protocol). A case is one result line of it. Tests in
Python are what pytest takes for tests: functions test_*() in files test_*.py.

settings  what was asked for: mode, kernels, machines, jobs
cases     the cases that the C sources define
tap       result lines as a row prints them
row       a row as a process whose results are waited for
host      rows of this machine
suites    directories whose tests are functions in Python
command   what those tests share
guest     rows of an emulated machine
coverage  which lines have run in the guests of a debug kernel
evidence  Documentation/evidence.rst and the tests that it names, for scripts/check-evidence
plugin    pytest's hooks: rows to items, selection, reports
"""
