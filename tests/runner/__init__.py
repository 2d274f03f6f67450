# SPDX-License-Identifier: GPL-2.0-only
"""A plugin of pytest, which runs all tests from the host. Rows of test cases become items.

A row is one process: a boot of a guest, a program of the host-side tests, or a script. The
process prints TAP (Test Anything Protocol). A case is one result line of a row. Tests in
Python are functions test_*() in files test_*.py, as pytest collects them.

settings  mode, kernels, machines and jobs of a session
cases     the cases that the C sources define
tap       result lines as a row prints them
row       a row: its process and its results
host      rows whose process runs on this machine
suites    directories whose tests are functions in Python
command   helpers for tests in Python: run a command, build a module, make a directory
guest     rows whose process boots an emulated machine
coverage  line counts of src/ in the guests of a debug kernel
evidence  Documentation/evidence.rst and the tests that it names, for scripts/check-evidence
plugin    pytest's hooks: rows to items, selection, reports
"""
