# usage: awk -f includes.awk ARCHITECTURE.md CMakeLists.txt SYMBOLS FILE.c FILE.h ...   (in the root of the source)
#
# Prints one line for each fault and ends with 1 if there is one (test_includes.sh says which faults).  A module is a
# row of the table in ARCHITECTURE.md: `FOLDER/`, its contents, and the modules whose headers its files may include.
# A module's name is its folder without src/.
#
# A unit is a header with the .c file of its name, and with the .c files of its folder that have no header of their own
# name and include this one first: they define what it declares.  SYMBOLS is empty, or what `nm -A -P` prints of the
# modules' libraries: a unit also uses another when it calls it.

function fault(text) { print text; faults++ }

function stem(path) { return substr(path, 1, length(path) - 2) }

function folder_of(path)
{
    sub(/\/[^\/]*$/, "", path)
    return path
}

function name_of(folder)
{
    sub(/^src\//, "", folder)
    return folder
}

function trimmed(text)
{
    gsub(/^[ \t]+|[ \t]+$/, "", text)
    return text
}

# The file that #include "path" means, or "".
function resolved(path)
{
    if (("src/" path) in is_file) return "src/" path
    if (path in is_file) return path
    path = folder_of(FILENAME) "/" path
    return path in is_file ? path : ""
}

# ---- the table, and the libraries --------------------------------------------------------------

function read_row(line,    cell, folder, library, n, used, i)
{
    split(line, cell, "|")
    folder = trimmed(cell[2])
    gsub(/`/, "", folder)
    sub(/\/$/, "", folder)
    modules[++n_modules] = name_of(folder)
    library = name_of(folder)
    gsub(/\//, "_", library)
    folder_with[library] = folder
    uses[name_of(folder)] = trimmed(cell[4])
    n = split(uses[name_of(folder)], used, ", *")
    for (i = 1; i <= n; i++) allowed[name_of(folder), used[i]] = 1
}

function read_library(line,    word, n, i, name, list)
{
    sub(/^dele_module\(/, "", line)
    sub(/\).*/, "", line)
    n = split(line, word, " ")
    name = name_of(word[1])
    for (i = 2; i <= n && word[i] != "LIBRARIES"; i++)
        if (word[i] != "USES") list = list (list == "" ? "" : ", ") word[i]
    has_library[name] = 1
    if (!(name in uses)) fault("CMakeLists.txt has a module " name ", ARCHITECTURE.md has none")
    else if (list != uses[name])
        fault("CMakeLists.txt: " name " uses " list "; ARCHITECTURE.md allows " (uses[name] == "" ? "nothing" : uses[name]))
}

function read_uses(    i, j, n, used)
{
    for (i = 1; i <= n_modules; i++) {
        n = split(uses[modules[i]], used, ", *")
        for (j = 1; j <= n; j++) {
            if (!(used[j] in uses))
                fault("ARCHITECTURE.md: " modules[i] " may use " used[j] ", which is no module")
            else if (!((modules[i], used[j]) in used_by))
                fault("ARCHITECTURE.md: " modules[i] " may use " used[j] ", and does not")
            add_edge("modules", modules[i], used[j])
        }
    }
}

# ---- what the files say ------------------------------------------------------------------------

function begin_file()
{
    unit[FILENAME] = stem(FILENAME)
    owned = FILENAME ~ /\.h$/ || (stem(FILENAME) ".h") in is_file
    module = name_of(folder_of(FILENAME))
    if (!(module in uses)) fault(FILENAME ": no row of ARCHITECTURE.md's table is for its folder")
}

function read_include(path,    target, other)
{
    target = resolved(path)
    if (target == "") {
        fault(FILENAME ":" FNR " includes " path ", which does not exist")
        return
    }
    other = name_of(folder_of(target))
    if (other != module && module in uses && !((module, other) in allowed))
        fault(FILENAME ":" FNR " includes " path "; " module " may use only " (uses[module] == "" ? "itself" : uses[module]))
    used_by[module, other] = 1
    if (!owned && other == module) unit[FILENAME] = stem(target)
    owned = 1
    includes[++n_includes] = FILENAME " " target
    if (FILENAME ~ /\.h$/) add_edge("headers", FILENAME, target)
}

# A name that only its file knows has one meaning in its module all the same, so that a search finds one place.
function define_private(name,    key)
{
    key = module " " name
    if (!(key in private)) private[key] = FILENAME
    else if (private[key] != FILENAME) fault(FILENAME ":" FNR ": " name " is also in " private[key])
}

# A static function, or the end of a typedef, that begins a line of a .c file.
function read_private(line)
{
    if (line ~ /^static [^=;]*[a-z0-9_]\(/) {
        sub(/\(.*/, "", line)
        sub(/.*[ *]/, "", line)
        define_private(line)
    } else if (line ~ /^} [a-z0-9_]+;/) {
        sub(/^} /, "", line)
        sub(/;.*/, "", line)
        define_private(line)
    }
}

# A type's name has one meaning in all headers; `what` is typedef, struct, union or enum.
function define(what, name,    key)
{
    key = what " " name
    if (key in defined) fault(FILENAME ":" FNR ": " key " is also defined in " defined[key])
    else defined[key] = FILENAME ":" FNR
}

function read_definition(line,    word)
{
    if (typedef_open && line ~ /^} *[A-Za-z0-9_]+;/) {
        sub(/^} */, "", line)
        sub(/;.*/, "", line)
        define("typedef", line)
    } else if (line ~ /^typedef .*\(\*[A-Za-z0-9_]+\)\(/) {
        sub(/.*\(\*/, "", line)
        sub(/\).*/, "", line)
        define("typedef", line)
    } else if (line ~ /^typedef [^({]*[A-Za-z0-9_]+\(/) {
        sub(/\(.*/, "", line)
        sub(/.*[ *]/, "", line)
        define("typedef", line)
    } else if (line ~ /^typedef [^({]*;/) {
        sub(/;.*/, "", line)
        sub(/\[.*/, "", line)
        sub(/.*[ *]/, "", line)
        define("typedef", line)
    } else if (line ~ /^(struct|union|enum) [A-Za-z0-9_]+ *{/) {
        split(line, word, " ")
        sub(/{.*/, "", word[2])
        define(word[1], word[2])
    }
}

# ---- symbols -----------------------------------------------------------------------------------

# DIR/libdele_MODULE.a[FILE.c.o]: NAME TYPE ...; the folder of a library's module is known from the table.
function read_symbol(line,    library, file, field)
{
    if (!match(line, /libdele_[a-z_]+[.]a\[[^\]]+[.]o\]: /)) return
    library = file = substr(line, RSTART + 8, RLENGTH - 8)
    sub(/[.]a.*/, "", library)
    sub(/.*\[/, "", file)
    sub(/[.]o\].*/, "", file)
    if (!(library in folder_with)) return
    file = folder_with[library] "/" file
    split(substr(line, RSTART + RLENGTH), field, " ")
    if (!(file in is_file)) return
    if (field[2] == "U") needs[++n_needs] = file " " field[1]
    else if (field[2] ~ /[A-Z]/) definer[field[1]] = file
}

function read_calls(    i, pair)
{
    for (i = 1; i <= n_needs; i++) {
        split(needs[i], pair, " ")
        if (pair[2] in definer) add_edge("units", unit[pair[1]], unit[definer[pair[2]]])
    }
}

# ---- circles -----------------------------------------------------------------------------------

function add_edge(graph, from, to)
{
    if (from == to || (graph, from, to) in edge) return
    edge[graph, from, to] = 1
    nodes[graph, from] = nodes[graph, to] = 1
    after[graph, from] = after[graph, from] " " to
}

# The first node after `from` that is left; "" if none is.
function next_left(graph, from,    list, n, i)
{
    n = split(after[graph, from], list, " ")
    for (i = 1; i <= n; i++)
        if ((graph, list[i]) in nodes) return list[i]
    return ""
}

# Takes away, again and again, the nodes after which none is left; from any that stays a walk comes back on itself.
# Such a circle is told and taken away, until nothing is left.
function find_circles(graph,    key, part, changed, node, path, seen)
{
    for (;;) {
        do {
            changed = 0
            for (key in nodes) {
                split(key, part, SUBSEP)
                if (part[1] != graph || next_left(graph, part[2]) != "") continue
                delete nodes[key]
                changed = 1
            }
        } while (changed)
        node = ""
        for (key in nodes) {
            split(key, part, SUBSEP)
            if (part[1] == graph && (node == "" || part[2] < node)) node = part[2]
        }
        if (node == "") return
        split("", seen)
        for (; !(node in seen); node = next_left(graph, node)) seen[node] = 1
        path = node
        split("", seen)
        for (; !(node in seen); path = path " -> " node) {
            seen[node] = 1
            node = next_left(graph, node)
        }
        fault(graph " in a circle: " path)
        for (key in seen) delete nodes[graph, key]
    }
}

# ---- all of it ---------------------------------------------------------------------------------

BEGIN {
    program["src"] = program["data"] = program["experiments/bench"] = 1 # no libraries
    for (i = 4; i < ARGC; i++) is_file[ARGV[i]] = 1
}

FILENAME == ARGV[1] { if (/^\| `[a-z_\/]+\/` \|/) read_row($0); next }
FILENAME == ARGV[2] { if (/^dele_module\(/) read_library($0); next }
FILENAME == ARGV[3] { read_symbol($0); next }

FNR == 1 { begin_file() }

/^[ \t]*#[ \t]*include[ \t]*"/ { split($0, quoted, "\""); read_include(quoted[2]) }

FILENAME ~ /\.c$/ { read_private($0) }

FILENAME ~ /\.h$/ {
    if (/^typedef (struct|union|enum)[^;]*{[^}]*$/) typedef_open = 1
    read_definition($0)
    if (/^}/) typedef_open = 0
}

END {
    read_uses()
    for (i = 1; i <= n_modules; i++) {
        name = modules[i]
        if (!(name in has_library) && !(name in program)) fault("ARCHITECTURE.md has a module " name ", CMakeLists.txt has none")
    }
    for (i = 1; i <= n_includes; i++) {
        split(includes[i], pair, " ")
        add_edge("units", unit[pair[1]], unit[pair[2]])
    }
    read_calls()
    find_circles("modules")
    find_circles("headers")
    find_circles("units")
    exit faults > 0
}
