# What comes back under attack: for every attack and variant the attacked model's score with its interval, between the
# unlearned model's (what was left) and the original's (what there was to forget).
#
#   by hand   gnuplot -e "table='attack.tsv'" attack.gp                 -> attack.svg, .png, .pdf
#   rows      behind two comments and the names of columns, four a variant: a measure each, in the order of the panels
#   columns   attack, variant, n, measure, before, unlearned, never, attacked, low, high, comes back, low, high, beyond
#             never, low, high; "-" is no number
#   may set   out, title
if (!exists("out")) out = table[1:strlen(table)-4]
if (!exists("title")) title = ""

set datafile separator tab
set datafile missing "-"
measures = "exact_match contains rougeL_recall p"
stats table using 0 skip 3 nooutput
rows = int(STATS_records) / 4

set border 3
set tics out nomirror
set grid ytics linetype 1 linecolor "#e0e0e0"
set yrange [-0.03:1.05]
set ytics 0.25
set xrange [-0.6:rows-0.4]
set lmargin 9
set xtics 1 format ""
w = 200 + 30 * (rows > 16 ? rows : 16)
h = 900

formats = strstrt(GPVAL_TERMINALS, "pdfcairo") ? "svg png pdf" : "svg png"
do for [format in formats] {
    if (format eq "svg") { set terminal svg size w,h dynamic font "DejaVu Sans,11" background "white" }
    if (format eq "png") { set terminal pngcairo size 2*w,2*h font "DejaVu Sans,11" fontscale 2 linewidth 2 background "white" }
    if (format eq "pdf") { set terminal pdfcairo size w/72.0,h/72.0 font "DejaVu Sans,11" fontscale 1 background "white" }
    set output out . "." . format
    set multiplot
    do for [k=0:3] {
        m = word(measures, k + 1)
        # four panels one above the other; the first also has title and key, the last the names
        set origin 0, k == 0 ? 0.755 : k == 1 ? 0.59 : k == 2 ? 0.425 : 0.01
        set size 1, k == 0 ? 0.235 : k == 3 ? 0.415 : 0.165
        if (k == 0) { set title title noenhanced; set key above noenhanced } else { unset title; unset key }
        set bmargin (k == 3 ? 13 : 0.8)
        set ylabel m noenhanced
        plot table skip 3 every 4::k using ($0-0.4):5:(0.8):(0) with vectors nohead linewidth 2 linecolor rgb "#0072b2" title "original", \
             table skip 3 every 4::k using ($0-0.4):6:(0.8):(0) with vectors nohead linewidth 2 linecolor rgb "#999999" title "unlearned", \
             table skip 3 every 4::k using ($0-0.4):7:(0.8):(0) with vectors nohead linewidth 1 dashtype 2 linecolor rgb "#000000" \
                 title "never taught", \
             table skip 3 every 4::k using 0:8:9:10 \
                 with yerrorbars pointtype 7 pointsize 0.6 linecolor rgb "#d55e00" title "attacked", \
             table skip 3 every 4::k using 0:(0):(k == 3 ? strcol(1) . ", " . strcol(2) : "") \
                 with labels rotate by 50 right offset 0.5,-1.2 noenhanced notitle
    }
    unset multiplot
    unset output
}
