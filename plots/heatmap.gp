# A heatmap of causal tracing: tokens (or groups of tokens, or heads) down, layers across.
#
#   by hand   gnuplot -e "table='average_mlp.tsv'" heatmap.gp          -> average_mlp.svg, .png, .pdf
#   rows      row <tab> label <tab> layer <tab> value                  rows and layers count from 0; nan: not measured
#   may set   out, title, note, xlabel, ylabel, cblabel, colour (purple, green, red),
#             centre   the value at which nothing happened (0), side   where the effect lies: above or below it
#             min, max of the scale (several maps may share one)
#             pair     two maps beside each other on that scale, before and after: so many columns each, counted through
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

if (!exists("out")) out = table[1:strlen(table)-4]
if (!exists("title")) title = ""
if (!exists("xlabel")) xlabel = "layer"
if (!exists("ylabel")) ylabel = ""
if (!exists("cblabel")) cblabel = "p(answer)"
if (!exists("colour")) colour = "purple"
if (!exists("side")) side = "above"
centre = exists("centre") ? real(centre) : 0
pair = exists("pair") ? int(real(pair)) : 0
at(column) = pair && column >= pair ? column + 1 : column # a column's room between the two

set datafile separator tab
set datafile missing "nan"
stats table using 1:3 nooutput
rows = STATS_max_y >= 0 ? STATS_max_x + 1 : 1
cols = at(STATS_max_y) + 1
stats table using 4 nooutput
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

# ---- frame ----
if (exists("note")) title = title . "\n" . note
set title title noenhanced
set xlabel xlabel noenhanced
set ylabel ylabel noenhanced
set cblabel cblabel noenhanced
set cbrange [low:high]
rough = (high - low) / 3.5 # a step of 1, 2 or 5 times a power of ten
power = 10 ** floor(log10(rough))
set cbtics power * (rough < 1.5 * power ? 1 : rough < 3.5 * power ? 2 : rough < 7.5 * power ? 5 : 10) format "%.3g"
set xrange [-0.5:cols-0.5]
set yrange [rows-0.5:-0.5]
set xtics 0, (cols > 20 ? 5 : 1)
set ytics noenhanced
set tics out nomirror scale 0.5
if (pair) {
    set xtics ()
    do for [c=0:pair-1:(pair > 20 ? 5 : 1)] { set xtics add (sprintf("%d", c) c, sprintf("%d", c) at(pair + c)) }
    set x2range [-0.5:cols-0.5]
    set x2tics ("before" 0.5*(pair-1), "after" 0.5*(pair-1)+pair+1) scale 0
    set border 0
}
do for [k=1:(pair ? 2 : 1)] { # grey: not measured
    from = k == 1 ? -0.5 : pair + 0.5
    set object k rectangle from first from, graph 0 to first from + (pair ? pair : cols), graph 1 behind fillcolor rgb "#dddddd" fillstyle solid noborder
}
set style fill solid 1.0 noborder
unset key
w = 230 + 16 * (cols > 24 ? cols : 24)
h = 130 + 24 * (rows > 5 ? rows : 5)

formats = strstrt(GPVAL_TERMINALS, "pdfcairo") ? "svg png pdf" : "svg png"
do for [format in formats] {
    if (format eq "svg") { set terminal svg size w,h dynamic font "DejaVu Sans,11" background "white" }
    if (format eq "png") { set terminal pngcairo size 2*w,2*h font "DejaVu Sans,11" fontscale 2 linewidth 2 background "white" }
    if (format eq "pdf") { set terminal pdfcairo size w/72.0,h/72.0 font "DejaVu Sans,11" fontscale 1 background "white" }
    set output out . "." . format
    plot table using (at($3)):1:(at($3)-0.5):(at($3)+0.5):($1-0.5):($1+0.5):4:ytic(2) with boxxyerror fillcolor palette, \
         table using (at($3)):(other_side($4) ? $1 : NaN) with points pointtype "–" linecolor "black"
    unset output
}
