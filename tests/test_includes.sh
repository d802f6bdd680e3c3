#!/usr/bin/env bash
# usage: test_includes.sh DELEATUR SOURCE_DIR
# label: short
#
# The table of modules in ARCHITECTURE.md is a law: no file includes what it does not allow, or a header that does not
# exist; no units include or call each other in a circle (calls are looked for in the libraries beside DELEATUR, where
# there is nm); CMakeLists.txt links what the table says; no two headers define one type, and no two files of a module
# a static function or a private type of one name.
# A small tree that breaks each of these rules once shows that each is seen.
set -u
here=$(cd "$(dirname "$0")" && pwd)

check() { # SYMBOLS, in the root of a source tree
    local files
    mapfile -t files < <(find src trace unlearn experiments plots data -name '*.[ch]' 2>/dev/null | LC_ALL=C sort)
    awk -f "$here/includes.awk" ARCHITECTURE.md CMakeLists.txt "$1" "${files[@]}"
}

build=$(cd "$(dirname "$1")" && pwd)
cd "$2" || exit 1
check <(command -v nm >/dev/null && nm -A -P "$build"/libdele_*.a 2>/dev/null) || { echo "FAILED: the includes and ARCHITECTURE.md differ"; exit 1; }

tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
cd "$tree" && mkdir -p src/low src/high src/odd || exit 1
cat >ARCHITECTURE.md <<'END'
| module | contents | may use | libraries |
|---|---|---|---|
| `src/low/` | | | |
| `src/high/` | | low, lost | |
| `src/idle/` | | low | |
END
cat >CMakeLists.txt <<'END'
dele_module(src/low USES high)
dele_module(src/high USES low lost)
dele_module(src/new)
END
printf '%s\n' '#include "high/b.h"' '#include "low/gone.h"' >src/low/a.c
printf '%s\n' '#include "low/d.h"' 'typedef struct {' '    int x;' '} twice;' 'typedef int (*call)(int x);' >src/low/c.h
printf '%s\n' '#include "low/c.h"' 'typedef struct twice twice;' 'typedef void call(int x);' 'struct twice { int x; };' >src/low/d.h
printf '%s\n' '#include "low/d.h"' >src/high/b.h
printf '%s\n' '#include "high/f.h"' '#include "high/g.h"' >src/high/f.c
printf '%s\n' '#include "high/g.h"' '#include "high/f.h"' >src/high/g.c
printf '%s\n' 'int f(void);' | tee src/high/f.h >src/high/g.h
printf '%s\n' 'int x;' >src/odd/e.c
cat >symbols <<'END'
build/libdele_low.a[a.c.o]: calls_h U         
build/libdele_high.a[h.c.o]: calls_h T 0000000000000000 0000000000000010
build/libdele_high.a[h.c.o]: called_back U         
build/libdele_low.a[a.c.o]: called_back T 0000000000000000 0000000000000010
build/libdele_gone.a[a.c.o]: calls_h T 0000000000000000 0000000000000010
END
printf '%s\n' 'static int twice(void)' '{' '    return 1;' '}' 'typedef struct {' '    int x;' '} pair;' |
    tee src/high/h.c >src/high/i.c
cat >expected <<'END'
CMakeLists.txt: low uses high; ARCHITECTURE.md allows nothing
CMakeLists.txt has a module new, ARCHITECTURE.md has none
src/high/i.c:1: twice is also in src/high/h.c
src/high/i.c:7: pair is also in src/high/h.c
src/low/a.c:1 includes high/b.h; low may use only itself
src/low/a.c:2 includes low/gone.h, which does not exist
src/low/d.h:2: typedef twice is also defined in src/low/c.h:4
src/low/d.h:3: typedef call is also defined in src/low/c.h:5
src/odd/e.c: no row of ARCHITECTURE.md's table is for its folder
ARCHITECTURE.md: high may use lost, which is no module
ARCHITECTURE.md: idle may use low, and does not
ARCHITECTURE.md has a module idle, CMakeLists.txt has none
headers in a circle: src/low/d.h -> src/low/c.h -> src/low/d.h
units in a circle: src/low/d -> src/low/c -> src/low/d
units in a circle: src/high/f -> src/high/g -> src/high/f
units in a circle: src/high/h -> src/low/a -> src/high/h
END
check symbols >told && { echo "FAILED: a tree with faults passes"; exit 1; }
diff -u expected told || { echo "FAILED: these faults were to be told"; exit 1; }
