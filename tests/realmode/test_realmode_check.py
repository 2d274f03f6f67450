# SPDX-License-Identifier: GPL-2.0-only
"""Test that src/realmode-check refuses code that must not run with the data MMU off.

Most tests compile an object with one forbidden construct, which realmode-check must refuse. A
module with such an object must not build.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lab.command import CROSS, without_settings
from lab.places import BUILD, TOP, cache_dir
from runner.command import Done, run

CHECK = TOP / "src" / "realmode-check"
# The relevant compiler flags of the kernel's build
FLAGS = ("-O2", "-std=gnu11", "-ffreestanding", "-fno-common",
         "-fno-asynchronous-unwind-tables", "-msoft-float", "-fno-stack-protector",
         "-mcmodel=medium")

GOOD = """
struct node { struct node *left, *right; unsigned long key; };
struct node *find(struct node *node, unsigned long key);
struct node *find(struct node *node, unsigned long key)
{
    while (node && node->key != key)
        node = key < node->key ? node->left : node->right;
    return node;
}
"""


def good_with(line: str) -> str:
    """Return code that realmode-check accepts, followed by another line."""
    return f"{GOOD}{line}\n"


def section(name: str, content: str, flags: str = "a") -> str:
    """Return a line of C that emits content into a separate section."""
    return f'__asm__(".section {name}, \\"{flags}\\"; {content}; .previous");'


def accepted(name: str, code: str, *flags: str) -> Any:
    """Return a row of the table of accepted objects."""
    return pytest.param(code, flags, id=name)


def refused(name: str, why: str, code: str, *flags: str) -> Any:
    """Return a row of the table of refused objects; why is a regular expression."""
    return pytest.param(why, code, flags, id=name)


ACCEPTED = (
    accepted("code_that_follows_pointers", GOOD),
    accepted("code_with_debug_information", GOOD, "-g"),
    accepted("code_with_a_note", good_with(section(".note.test", ".long 1"))),
    accepted("an_exported_function", good_with(section(".export_symbol", ".quad find"))),
    accepted("an_instruction_that_the_kernel_patches",
             good_with(section("__lwsync_fixup", ".quad find"))),
    accepted("code_for_a_kernel_without_toc", GOOD, "-mcpu=power10", "-mpcrel"),
)

DATA = (
    refused("data_of_its_own", r"section \.s?bss.*: data|TOC",
            "static unsigned long n; unsigned long f(void) { return ++n; }"),
    refused("a_constant_table", r"section \.rodata.*: data",
            "static const int t[] = { 3, 1, 4, 1, 5, 9 };"
            "int f(unsigned i) { return t[i % 6]; }"),
    refused("a_string_literal", r"section \.rodata.*: data",
            'const char *f(void) { return "text"; }'),
    refused("a_jump_table", r"section \.(rodata|toc).*: (data|TOC)", """
        long g(long i, long x) { switch (i) { case 0: return x * 3;
            case 1: return x / 7; case 2: return x ^ 5; case 3: return -x;
            case 4: return x << 3; case 5: return x | 64; case 6: return ~x;
            case 7: return x * x; case 8: return x - 9; } return 0; }""", "-fjump-tables"),
    refused("data_of_another_object", r"outside the object",
            "extern unsigned long other; unsigned long f(void) { return other; }"),
    refused("an_address_through_the_toc", r"R_PPC64_TOC16|TOC",
            "extern long other[]; long *f(void) { return other; }", "-mcmodel=small"),
    refused("an_absolute_address_in_code", r"R_PPC64_ADDR16",
            r'__asm__(".text\nf: lis 3, other@highest\nblr");'),
    refused("a_word_of_data_among_the_code", r"R_PPC64_ADDR64",
            'void f(void) { __asm__ volatile(".quad f"); }'),
    refused("an_address_relative_to_the_program_counter", r"R_PPC64_(PCREL|GOT)",
            "extern long other; long f(void) { return other; }", "-mcpu=power10", "-mpcrel"),
)

CALLS = (
    refused("a_call_to_another_object", r"other: call or data outside",
            "void other(void); void f(void) { other(); other(); }"),
    refused("a_tail_call_to_another_object", r"other: call or data outside",
            "void other(void); void f(void) { other(); }"),
    refused("a_memcpy_made_by_the_compiler", r"mem(cpy|set): call",
            "void f(char *a, char *b) { __builtin_memcpy(a, b, 4096); }"),
    refused("a_call_through_a_pointer_which_sets_up_the_toc", r"sets up a TOC",
            "long f(long (*g)(void)) { return g() + 1; }"),
    refused("a_warn", r"bug_table", r"""
        void f(long x) { __asm__ volatile("1: tdnei %0, 0\n"
            ".section __bug_table, \"aw\"; .long 1b - .; .previous" : : "r" (x)); }"""),
    refused("a_static_key", r"jump_table", r"""
        void f(void) { __asm__ volatile("1: nop\n"
            ".section __jump_table, \"aw\"; .long 1b - .; .previous"); }"""),
)

INSTRUMENTATION = (
    refused("the_stack_protector", r"stack protector", GOOD, "-fstack-protector-all"),
    refused("ftrace_by_mprofile_kernel", r"_mcount: ftrace", GOOD, "-pg", "-mprofile-kernel"),
    refused("ftrace_by_patchable_entries", r"patchable.*: ftrace", GOOD,
            "-fpatchable-function-entry=2"),
    refused("an_entry_in_the_blacklist_of_kprobes", r"kprobe",
            good_with(section("_kprobe_blacklist", ".quad find", "aw"))),
    refused("code_where_a_kprobe_may_be_put", r"kprobe", GOOD, "-ffunction-sections"),
    refused("code_in_a_section_with_an_odd_name", r"kprobe",
            good_with('__attribute__((section(".text-x"))) long g(long x) { return x; }')),
    refused("a_function_that_may_be_replaced", r"may be replaced",
            "__attribute__((weak)) long f(long x) { return x; }"),
    refused("a_call_of_kprobes", r"kprobe",
            "void kprobe_handler(void); void f(void) { kprobe_handler(); }"),
    refused("kasan", r"KASAN", GOOD, "-fsanitize=kernel-address", "-fasan-shadow-offset=0"),
    refused("kcov", r"KCOV", GOOD, "-fsanitize-coverage=trace-pc"),
    refused("ubsan", r"UBSAN", "long f(long x, int n) { return x << n; }", "-fsanitize=shift"),
    refused("gcov", r"gcov|data", GOOD, "-fprofile-arcs"),
)


def compiled(work: Path, code: str, *flags: str) -> Path:
    """Compile C with the kernel's options, in a section without kprobes; return the object."""
    made = work / "object.o"
    run(f"{CROSS}gcc-12", "-x", "c", *FLAGS, *flags, "-c", "-o", made, "-",
        cwd=work, stdin=code).expect(0)
    run(f"{CROSS}objcopy", "--rename-section", ".text=.noinstr.text", made).expect(0)
    return made


def check(made: Path) -> Done:
    """Run src/realmode-check on an object."""
    return run(CHECK, made, env=without_settings(READELF=f"{CROSS}readelf"))


@pytest.mark.parametrize(("code", "flags"), ACCEPTED)
def test_realmode_check_accepts(code: str, flags: tuple[str, ...], work: Path) -> None:
    check(compiled(work, code, *flags)).expect(0)


@pytest.mark.parametrize(("why", "code", "flags"), [*DATA, *CALLS, *INSTRUMENTATION])
def test_realmode_check_refuses(why: str, code: str, flags: tuple[str, ...], work: Path) -> None:
    check(compiled(work, code, *flags)).expect(1, why)


def test_an_object_that_does_not_exist_is_refused(work: Path) -> None:
    check(work / "missing.o").expect(1, "missing.o: no such file")


def test_an_object_without_code_is_refused(work: Path) -> None:
    check(compiled(work, "")).expect(1, "no code in this object")


def test_an_object_cut_short_is_refused(work: Path) -> None:
    whole = compiled(work, GOOD)
    cut = work / "cut.o"
    cut.write_bytes(whole.read_bytes()[:300])
    check(cut).expect(1, "readelf: Error")


@dataclass(frozen=True)
class Build:
    """A copy of the sources, and the result of a build in the copy."""

    tree: Path
    done: Done


@pytest.fixture(scope="module")
def build_with_warn(first_label: str) -> Build:
    """Build the module with a WARN_ON_ONCE() in src/realmode.c, in a copy of the tree."""
    tree = BUILD / "tests" / "realmode" / "tree"
    shutil.rmtree(tree, ignore_errors=True)
    (tree / "tests").mkdir(parents=True)
    for name in (".gitignore", "Kbuild", "dkms.conf"):
        shutil.copy2(TOP / name, tree)
    for name in ("src", "include", "scripts", "tests/selftest", "tests/kvmplay",
                 "tests/emulated"):
        shutil.copytree(TOP / name, tree / name)
    source = tree / "src" / "realmode.c"
    text, count = re.subn(r"^\tif \(!rm_is_linear\(cache\)\)$", r"\tWARN_ON_ONCE(!bytes);\n\g<0>",
                          source.read_text(), flags=re.MULTILINE)
    assert count, "src/realmode.c has no line before which a WARN_ON_ONCE() could stand"
    source.write_text(text)
    # Pass the variables that locate the cache, which has the kernel
    env = without_settings(XDG_CACHE_HOME=str(cache_dir().parent))
    return Build(tree, run(tree / "scripts" / "module", first_label, env=env))


def test_a_module_with_a_warn_in_real_mode_code_does_not_build(build_with_warn: Build) -> None:
    build_with_warn.done.expect(1)


def test_the_build_says_what_real_mode_code_must_not_have(build_with_warn: Build) -> None:
    build_with_warn.done.expect(1, r"realmode\.o: .*(bug_table|WARN)")


def test_a_refused_build_leaves_no_module(build_with_warn: Build) -> None:
    build_with_warn.done.expect(1)
    assert not list(build_with_warn.tree.glob("build/**/vfio_spapr_tce2.ko"))
