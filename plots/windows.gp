# Windows of layers: what tracing saw there (grey, scale on the right), what training them gave (colours, on the left).
#
#   by hand   gnuplot -e "table='windows.tsv'" windows.gp             -> windows.svg, .png, .pdf
#   blocks    a line with the name, then middle of the window <tab> value <tab> panel <tab> line; two blank lines between;
#             panels count from 0; lines 0, -1, ... are traced effects, named after their tokens, 1, 2, ... scores
#   may set   out, chart (whose effect), panel_a, panel_b, ...: titles of the panels
#
# Okabe and Ito's colours, and a mark of its own for each line, for grey printing and colour blindness.
if (!exists("out")) out = table[1:strlen(table)-4]
if (!exists("chart")) chart = "states"

set datafile separator tab
stats table using 1:2 nooutput
blocks = STATS_blocks
array panel[blocks]
array line[blocks]
panels = 0
do for [b=0:blocks-1] {
    stats table index b using 3:4 nooutput
    panel[b+1] = int(STATS_max_x)
    line[b+1] = int(STATS_min_y)
    if (panel[b+1] >= panels) { panels = panel[b+1] + 1 }
}
array hue[7] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000"]
titled(p) = exists(sprintf("panel_%c", 97 + p)) ? value(sprintf("panel_%c", 97 + p)) : ""
filled(b, p) = panel[b+1] == p && line[b+1] == 0
dashed(b, p) = panel[b+1] == p && line[b+1] < 0
scored(b, p) = panel[b+1] == p && line[b+1] > 0
dash(b) = line[b+1] < 0 ? 1 - line[b+1] : 1

set key noenhanced
set tics out nomirror
set border 11
set grid ytics linetype 1 linecolor "#e8e8e8"
set y2tics
set style fill solid 0.25 noborder
set offsets 0, 0, graph 0.05, graph 0.05

height = 240 * panels + 40
formats = strstrt(GPVAL_TERMINALS, "pdfcairo") ? "svg png pdf" : "svg png"
do for [format in formats] {
    if (format eq "svg") { set terminal svg size 860,height dynamic font "DejaVu Sans,11" background "white" }
    if (format eq "png") { set terminal pngcairo size 1720,2*height font "DejaVu Sans,11" fontscale 2 linewidth 2 background "white" }
    if (format eq "pdf") { set terminal pdfcairo size 860/72.0,height/72.0 font "DejaVu Sans,11" fontscale 1 background "white" }
    set output out . "." . format
    set multiplot layout panels,1 margins screen 0.08,0.57,60.0/height,1-40.0/height spacing screen 0,75.0/height
    do for [p=0:panels-1] {
        if (p) { unset key } else { set key at screen 0.99,1-40.0/height right top }
        set title titled(p) noenhanced
        set xlabel (p == panels - 1 ? "middle of the window, layer" : "")
        set y2label "effect of " . chart noenhanced
        plot for [b=0:blocks-1] table index b using (filled(b, p) ? $1 : NaN):2 axes x1y2 with filledcurves y2=0 \
                 linecolor rgb "#777777" title filled(b, p) ? "traced, " . columnheader(1) : "", \
             for [b=0:blocks-1] table index b using (dashed(b, p) ? $1 : NaN):2 axes x1y2 with lines linewidth 1.5 \
                 linecolor rgb "#777777" dashtype dash(b) title dashed(b, p) ? "traced, " . columnheader(1) : "", \
             for [b=0:blocks-1] table index b using (scored(b, p) ? $1 : NaN):2 axes x1y1 with linespoints \
                 linecolor rgb hue[(line[b+1]+6)%7+1] linewidth 1.5 pointtype 3 + line[b+1] pointsize 0.5 \
                 title scored(b, p) ? columnheader(1) : ""
    }
    unset multiplot
    unset output
}
