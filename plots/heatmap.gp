# A heatmap of causal tracing: tokens (or groups of tokens, or heads) down, layers across.
#
#   rows      row <tab> label <tab> layer <tab> value                  rows and layers count from 0; nan: not measured
#             with "labels", a fifth column: the name of the column, in the place of its number
# texts 2 5
#   may set   title, note, xlabel, ylabel, cblabel, colour (purple, green, red),
#             centre   the value at which nothing happened (0), side   where the effect lies: above or below it
#             min, max of the scale (several maps may share one)
#             pair     two maps beside each other on that scale, before and after: so many columns each, counted through
#             rowheight in pixels (24)
#
# The centre is white.  Towards the effect a map darkens in its own hue, away from it in another, by the same steps, so
# that nothing is cut off at zero and lightness alone tells how much; cells on the other side carry a dash, which tells
# them apart in grey print.  The hues are ColorBrewer's (Harrower & Brewer 2003), in pairs that colour-blind readers can
# tell apart.  tests/test_palettes.c walks along them.
purple_steps = "#fcfbfd #dadaeb #9e9ac8 #6a51a3 #2a0050"
green_steps  = "#fcfbfd #c7e9c0 #74c476 #238b45 #00341a"
red_steps    = "#fcfbfd #fcbba1 #fb6a4a #cb181d #4d000a"
orange_steps = "#fcfbfd #fdd0a2 #fd8d3c #bf4a02 #4a1a00"
blue_steps   = "#fcfbfd #c6dbef #6baed6 #2171b5 #06204d"

if (!exists("xlabel")) xlabel = "layer"
if (!exists("ylabel")) ylabel = ""
if (!exists("cblabel")) cblabel = "p(answer)"
if (!exists("colour")) colour = "purple"
if (!exists("side")) side = "above"
centre = exists("centre") ? real(centre) : 0
pair = exists("pair") ? int(real(pair)) : 0
labels = exists("labels")
rowheight = exists("rowheight") ? real(rowheight) : 24
at(column) = pair && column >= pair ? column + 1 : column # a column's room between the two

stats table using 1:3 nooutput
rows = STATS_max_y >= 0 ? STATS_max_x + 1 : 1
cols = at(STATS_max_y) + 1
stats table using (strlen(strcol(2))) nooutput
longest = STATS_max
if (!exists("min") || !exists("max")) { stats table using 4 nooutput }
low = exists("min") ? real(min) : STATS_min
high = exists("max") ? real(max) : STATS_max
if (low > centre) low = centre
if (high < centre) high = centre
if (!(high > low)) high = low + 1e-6

# ---- colours: a gray of 0 to 1 is a value of low to high ----
own = colour eq "green" ? green_steps : colour eq "red" ? red_steps : purple_steps
other = colour eq "green" ? purple_steps : colour eq "red" ? blue_steps : orange_steps
above = side eq "above" ? own : other
below = side eq "above" ? other : own
reach = high - centre > centre - low ? high - centre : centre - low
part(steps, i, k) = int("0x" . word(steps, i)[2*k:2*k+1]) / 255.0
between(steps, x, k) = x >= 1 ? part(steps, 5, k) : \
    part(steps, int(4*x)+1, k) + (4*x - int(4*x)) * (part(steps, int(4*x)+2, k) - part(steps, int(4*x)+1, k))
shade(gray, k) = (d = (low + gray * (high - low) - centre) / reach, d < 0 ? between(below, -d, k) : between(above, d, k))
set palette model RGB functions shade(gray, 1), shade(gray, 2), shade(gray, 3)
other_side(v) = (side eq "above" ? centre - v : v - centre) > 0.05 * reach
stats table using (valid(4) && other_side($4) ? 1 : 0) nooutput
dashes = STATS_max # 1: there are such cells; gnuplot 5.4 may crash where there are none and it is asked to draw them

# ---- frame: margins in pixels, so that the map has all the room that labels and scale leave ----
map = rowheight * rows
if (map < 144) { map = 144 }
for_label = 6.9 * (strlen(cblabel) > 40 ? 40 : strlen(cblabel)) # the scale's label lies along the map
if (map < for_label) { map = for_label }
scale = lines(cblabel, int(map / 6.4), 3)
right = 96.0 + 16 * newlines(scale)
cell = labels ? 24 : cols <= 10 ? 44 : cols <= 16 ? 32 : cols <= 26 ? 24 : cols <= 40 ? 18 : 14
left = 6.9 * (longest > 60 ? 60 : longest) + (strlen(ylabel) ? 40 : 26)
w = left + cell * cols + right
if (w < 520) { cell = (520.0 - left - right) / cols; w = 520.0 }
head = heading(w)
top = 14 + 16 * newlines(head) + (pair ? 20 : 0)
bottom = 58
h = top + map + bottom
set lmargin at screen left / w
set rmargin at screen 1 - right / w
set bmargin at screen bottom * 1.0 / h
set tmargin at screen 1 - top * 1.0 / h
set label 1 head at screen 0.5, screen 1 - 14.0 / h center
set xlabel xlabel
set label 2 ylabel at screen 14.0 / w, graph 0.5 center rotate by 90
set label 3 scale at screen 1 - (8.0 + 8 * newlines(scale)) / w, graph 0.5 center rotate by 90
set cbrange [low:high]
set colorbox user origin screen 1 - (right - 14.0) / w, screen bottom * 1.0 / h size screen 14.0 / w, screen map * 1.0 / h

# Both ends of the scale are named; between them steps of 1, 2 or 5 times a power of ten, where they keep clear of those.
round(x) = floor(x + 0.5)
rough = (high - low) / 3.5
power = 10 ** floor(log10(rough))
step = power * (rough < 1.5 * power ? 1 : rough < 3.5 * power ? 2 : rough < 7.5 * power ? 5 : 10)
apart(a, b) = abs(a - b) > 19.0 / map * (high - low)
# three digits of the range, so that an end near 0 is not 0.000793 where the other is 0.914
digits = 2 - floor(log10(high - low))
shown(v) = abs(v) < 1e-9 * reach ? "0" : sprintf("%.4g", digits < 0 ? v : round(v * 10.0**digits) / 10.0**digits)
set cbtics (shown(high) high)
if (low >= 0 || apart(low, 0)) { set cbtics add (shown(low) low) }
do for [k=ceil(low/step):floor(high/step)] {
    if (apart(k * step, high) && (apart(k * step, low) || (k == 0 && low < 0))) { set cbtics add (shown(k * step) k * step) }
}
set xrange [-0.5:cols-0.5]
set yrange [rows-0.5:-0.5]
set xtics 0, (cols > 20 ? 5 : 1)
set tics out nomirror scale 0.5
set border 15
if (pair) {
    set xtics ()
    do for [c=0:pair-1:(pair > 20 ? 5 : 1)] { set xtics add (sprintf("%d", c) c, sprintf("%d", c) at(pair + c)) }
    set x2range [-0.5:cols-0.5]
    set x2tics ("before" 0.5*(pair-1), "after" 0.5*(pair-1)+pair+1) scale 0
    set border 0
    set ytics scale 0
}
do for [k=1:(pair ? 2 : 1)] { # grey: not measured
    from = k == 1 ? -0.5 : pair + 0.5
    set object k rectangle from first from, graph 0 to first from + (pair ? pair : cols), graph 1 behind fillcolor rgb "#dddddd" fillstyle solid noborder
}
if (labels) { set xtics () }
set style fill solid 1.0 noborder
unset key

do for [format in formats] {
    load "terminal.gp"
    if (labels) {
        plot table using (at($3)):1:(at($3)-0.5):(at($3)+0.5):($1-0.5):($1+0.5):4:ytic(strcol(2)):xtic(strcol(5)) \
                 with boxxyerror fillcolor palette, \
             for [i=1:dashes] table using (at($3)):(other_side($4) ? $1 : NaN) with points pointtype "–" linecolor "black"
    } else {
        plot table using (at($3)):1:(at($3)-0.5):(at($3)+0.5):($1-0.5):($1+0.5):4:ytic(strcol(2)) with boxxyerror fillcolor palette, \
             for [i=1:dashes] table using (at($3)):(other_side($4) ? $1 : NaN) with points pointtype "–" linecolor "black"
    }
    unset output
}
