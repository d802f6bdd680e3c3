# The common beginning of every picture.  plots/gnuplot.c has set `table` (the lines), `variables`
# (lines "name <tab> value") and `out` (the picture, without its ending).  gnuplot works in a
# temporary directory, and gets no other file name.
#
# Texts are data and never become commands.  (Labels of points must take a column directly, "using
# 1:2:3 with labels", because gnuplot interprets escapes in the string of an expression once more.)
# The loop reads a variable's value from a column; only names of the list below are in a command.
set encoding utf8
set termoption noenhanced
set datafile separator tab
set datafile commentschars ""
set datafile missing "nan"

title = ""
known = "title note model xlabel ylabel y2label cblabel colour side centre min max pair hues controls chart xmin xmax ymin ymax labels rowheight level"
do for [p=0:25] { known = known . sprintf(" panel_%c", 97 + p) }
do for [name in known] {
    found = 0
    stats variables using (strcol(1) eq name ? (found = 1, text = strcol(2), 1) : 0) nooutput
    if (found) { eval name . " = text" }
}

# A text in lines of at most n characters, broken at blanks where there are some; three lines, then an ellipsis.
blank(s, n) = n < 1 ? 0 : s[n:n] eq " " ? n : blank(s, n - 1)
cut(s, n) = blank(s, n) > n / 2 ? blank(s, n) : n
lines(s, n, most) = strlen(s) <= n ? s : most == 1 ? s[1:n-1] . "…" : \
    s[1:cut(s, n)] . "\n" . lines(s[cut(s, n)+1:strlen(s)], n, most - 1)
# The title and, below it, the note, as wide as a picture of w pixels has room for.
noted = exists("note") && exists("model") ? note . "; " . model : exists("note") ? note : exists("model") ? model : ""
heading(w) = lines(title, int(w / 7.0), 3) . (strlen(noted) ? "\n" . lines(noted, int(w / 7.0), 3) : "")
# How many lines that is.
newlines(s) = strlen(s) == 0 ? 1 : (strstrt(s, "\n") ? 1 + newlines(s[strstrt(s, "\n")+1:strlen(s)]) : 1)

# Okabe and Ito's colours, each with its own mark, for grey printing and colour blindness.  "hues"
# gives the colour of each block, so that a category keeps its colour where another is missing.
array okabe[8] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#8c6d31"]
array okabe_mark[8] = [7, 5, 9, 11, 13, 4, 6, 8]
number(i) = exists("hues") && i < words(hues) ? int(word(hues, i + 1)) : i
hue(i) = okabe[number(i)%8+1]
shape(i) = okabe_mark[number(i)%8+1]

set border 3
set tics out nomirror
formats = strstrt(GPVAL_TERMINALS, "pdfcairo") ? "svg png pdf" : "svg png"
