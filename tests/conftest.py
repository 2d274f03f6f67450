# SPDX-License-Identifier: GPL-2.0-only
"""The plugin of tests/runner makes the tests items of pytest."""

pytest_plugins = ["runner.plugin", "runner.command"]
