# Writes the man pages (deleatur.1, and deleatur-COMMAND.1 for each command) and the completions of bash and zsh into OUT,
# from the program's own tables of options:
#
#   cmake -DPROGRAM=build/release/deleatur -DOUT=build/release/pages -P docs/man/pages.cmake
#
# The program prints the tables (--help --json), so that pages, completions and help cannot differ.
cmake_minimum_required(VERSION 3.22)

function(ask out)
  execute_process(COMMAND "${PROGRAM}" ${ARGN} OUTPUT_VARIABLE text RESULT_VARIABLE status)
  if(status)
    message(FATAL_ERROR "${PROGRAM} ${ARGN}: exit status ${status}")
  endif()
  set(${out} "${text}" PARENT_SCOPE)
endfunction()

# Text for roff: backslashes and hyphens are characters, and no line begins with a request.
function(roff out text)
  string(REPLACE "\\" "\\(rs" text "${text}")
  string(REPLACE "-" "\\-" text "${text}")
  string(REGEX REPLACE "(^|\n)([.'])" "\\1\\\\&\\2" text "${text}")
  set(${out} "${text}" PARENT_SCOPE)
endfunction()

# Text within single quotes of a shell; for zsh's _arguments also without its own signs.
function(shell_quoted out text)
  string(REPLACE "'" "'\\''" text "${text}")
  set(${out} "${text}" PARENT_SCOPE)
endfunction()

function(zsh_quoted out text)
  string(REGEX REPLACE "([][:\\])" "\\\\\\1" text "${text}")
  shell_quoted(text "${text}")
  set(${out} "${text}" PARENT_SCOPE)
endfunction()

function(json_length out json)
  string(JSON n ERROR_VARIABLE missing LENGTH "${json}" ${ARGN})
  if(missing)
    set(n 0)
  endif()
  set(${out} ${n} PARENT_SCOPE)
endfunction()

# The text at a path, "" where there is none.
function(json_text out json)
  string(JSON text ERROR_VARIABLE missing GET "${json}" ${ARGN})
  if(missing)
    set(text "")
  endif()
  set(${out} "${text}" PARENT_SCOPE)
endfunction()

# " [default]", or "" where an option has none; a flag that is on says how it is cleared.
function(default_of out json name)
  string(JSON type TYPE "${json}" default)
  json_text(value "${json}" default)
  set(text "")
  if(type STREQUAL "BOOLEAN")
    if(value)
      set(text " [on; --no-${name}]")
    endif()
  elseif(NOT type STREQUAL "NULL" AND NOT value STREQUAL "")
    set(text " [${value}]")
  endif()
  set(${out} "${text}" PARENT_SCOPE)
endfunction()

# The words that an option takes, separated by blanks; "" where it takes any text.
function(choices_of out json)
  json_length(n "${json}" choices)
  set(words "")
  foreach(k RANGE ${n})
    json_text(word "${json}" choices ${k})
    list(APPEND words ${word})
  endforeach()
  list(JOIN words " " words)
  set(${out} "${words}" PARENT_SCOPE)
endfunction()

# One command: its page, and what the completions need of it: NAMES (all options), ZSH (lines for _arguments) and CHOICES
# (cases of bash: the words of options that take one of a few).
function(page_of command summary)
  ask(json ${command} --help --json)
  json_text(synopsis "${json}" synopsis)
  json_text(example "${json}" example)
  string(TOUPPER "deleatur-${command}" title)
  roff(roff_summary "${summary}")
  roff(roff_synopsis "${synopsis}")
  roff(roff_command "deleatur-${command}")
  set(page ".TH ${title} 1 \"\" \"deleatur ${VERSION}\" \"User Commands\"\n.SH NAME\n${roff_command} \\- ${roff_summary}\n")
  string(APPEND page ".SH SYNOPSIS\n.B deleatur ${command}\n${roff_synopsis}\n")
  set(names "")
  set(zsh "")
  set(choices "")
  json_length(n_groups "${json}" groups)
  foreach(g RANGE 1 ${n_groups})
    math(EXPR g "${g} - 1")
    json_text(heading "${json}" groups ${g} title)
    string(TOUPPER "${heading}" heading)
    roff(heading "${heading}")
    string(APPEND page ".SH \"${heading}\"\n")
    json_length(n_options "${json}" groups ${g} options)
    if(n_options EQUAL 0)
      continue()
    endif()
    foreach(k RANGE 1 ${n_options})
      math(EXPR k "${k} - 1")
      string(JSON option GET "${json}" groups ${g} options ${k})
      json_text(name "${option}" name)
      json_text(argument "${option}" argument)
      json_text(help "${option}" help)
      default_of(default "${option}" ${name})
      zsh_quoted(zsh_help "${help}${default}")
      roff(help "${help}${default}")
      roff(roff_name "--${name}")
      if(argument STREQUAL "")
        string(APPEND page ".TP\n\\fB${roff_name}\\fR\n${help}\n")
        string(APPEND zsh "      '--${name}[${zsh_help}]'\n")
      else()
        string(APPEND page ".TP\n\\fB${roff_name}\\fR \\fI${argument}\\fR\n${help}\n")
        choices_of(words "${option}")
        if(words STREQUAL "")
          string(APPEND zsh "      '--${name}[${zsh_help}]:${argument}:_files'\n")
        else()
          string(APPEND zsh "      '--${name}[${zsh_help}]:${name}:(${words})'\n")
          string(APPEND choices "        ${command}:--${name}) words='${words}' ;;\n")
        endif()
      endif()
      list(APPEND names "--${name}")
    endforeach()
  endforeach()
  json_length(n_entries "${json}" list entries)
  if(n_entries GREATER 0)
    json_text(heading "${json}" list title)
    string(TOUPPER "${heading}" heading)
    roff(heading "${heading}")
    string(APPEND page ".SH \"${heading}\"\n")
    foreach(k RANGE 1 ${n_entries})
      math(EXPR k "${k} - 1")
      json_text(name "${json}" list entries ${k} name)
      json_text(text "${json}" list entries ${k} text)
      roff(name "${name}")
      roff(text "${text}")
      string(APPEND page ".TP\n\\fB${name}\\fR\n${text}\n")
    endforeach()
  endif()
  if(NOT example STREQUAL "")
    roff(example "${example}")
    string(APPEND page ".SH EXAMPLE\n.nf\n${example}\n.fi\n")
  endif()
  string(APPEND page ".SH EXIT STATUS\n0 where the command did what it was asked; 1 where a file, the memory or the training stopped it,\nwith one sentence on stderr; 2 for a wrong command line.\n")
  string(APPEND page ".SH SEE ALSO\n.BR deleatur (1)\n")
  file(WRITE "${OUT}/man1/deleatur-${command}.1" "${page}")
  list(JOIN names " " names)
  set(NAMES "${names}" PARENT_SCOPE)
  set(ZSH "${zsh}" PARENT_SCOPE)
  set(CHOICES "${choices}" PARENT_SCOPE)
endfunction()

ask(VERSION --version)
string(REGEX REPLACE "^deleatur ([^\n]*)\n.*" "\\1" VERSION "${VERSION}")
ask(overview --help)
string(REPLACE ";" "," overview "${overview}") # CMake's own sign between items of a list
string(REGEX MATCHALL "\n  [a-z]+  +[^\n]+" rows "${overview}")
string(REGEX REPLACE "^deleatur [^ ]+ -- ([^\n]*)\n.*" "\\1" purpose "${overview}")
roff(purpose "${purpose}")

set(main ".TH DELEATUR 1 \"\" \"deleatur ${VERSION}\" \"User Commands\"\n.SH NAME\ndeleatur \\- ${purpose}\n.SH SYNOPSIS\n.B deleatur\n\\fICOMMAND\\fR ...\n.SH COMMANDS\n")
set(commands "")
set(bash_cases "")
set(bash_choices "")
set(zsh_commands "")
set(zsh_cases "")
set(also "")
foreach(row IN LISTS rows)
  if(NOT row MATCHES "^\n  ([a-z]+)  +(.+)$" OR CMAKE_MATCH_1 STREQUAL "deleatur")
    continue()
  endif()
  set(command "${CMAKE_MATCH_1}")
  set(summary "${CMAKE_MATCH_2}")
  page_of(${command} "${summary}")
  list(APPEND commands ${command})
  roff(roff_summary "${summary}")
  string(APPEND main ".TP\n\\fB${command}\\fR\n${roff_summary}\n")
  list(APPEND also ".BR deleatur\\-${command} (1)")
  string(APPEND bash_cases "        ${command}) options='${NAMES}' ;;\n")
  string(APPEND bash_choices "${CHOICES}")
  zsh_quoted(zsh_summary "${summary}")
  string(APPEND zsh_commands "    '${command}:${zsh_summary}'\n")
  string(APPEND zsh_cases "    ${command}) _arguments \\\n")
  string(REGEX REPLACE "\n" " \\\\\n" lines "${ZSH}")
  string(APPEND zsh_cases "${lines}      '*:file:_files' ;;\n")
endforeach()
if(NOT commands)
  message(FATAL_ERROR "${PROGRAM} --help lists no commands")
endif()
list(JOIN also ",\n" also)
string(APPEND main ".SH ENVIRONMENT\n.TP\n\\fBOMP_NUM_THREADS\\fR\nthreads to use, where \\fB\\-\\-threads\\fR does not say so\n.TP\n\\fBDELEATUR_SHARE\\fR\nwhere the program's own data are, in place of the installed ones\n.SH SEE ALSO\n${also}\n")
file(WRITE "${OUT}/man1/deleatur.1" "${main}")

list(JOIN commands " " words)
file(WRITE "${OUT}/deleatur.bash" "# bash completion for deleatur
_deleatur() {
    local current=\${COMP_WORDS[COMP_CWORD]} options= words=
    COMPREPLY=()
    if [ \"$COMP_CWORD\" -eq 1 ]; then
        COMPREPLY=(\$(compgen -W '${words} help --help --version' -- \"$current\"))
        return
    fi
    case \${COMP_WORDS[1]}:\${COMP_WORDS[COMP_CWORD - 1]} in
${bash_choices}    esac
    if [ -n \"$words\" ]; then
        COMPREPLY=(\$(compgen -W \"$words\" -- \"$current\"))
        return
    fi
    case \${COMP_WORDS[1]} in
${bash_cases}    esac
    case $current in
        -*) COMPREPLY=(\$(compgen -W \"$options\" -- \"$current\")) ;;
    esac
}
complete -o default -o bashdefault -F _deleatur deleatur
")
file(WRITE "${OUT}/_deleatur" "#compdef deleatur
# zsh completion for deleatur
local -a commands
commands=(
${zsh_commands})
if (( CURRENT == 2 )); then
  _describe command commands
  return
fi
local command=\$words[2]
shift words
(( CURRENT-- ))
case \$command in
${zsh_cases}esac
")
