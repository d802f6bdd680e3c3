# What is recovered under attack: for every attack and variant the attacked model's score with its 95 % interval, between
# the unlearned model's (what was left) and the original's (what there was to forget).  A panel a measure, a line a variant.
#
#   rows      after the names of columns, four a variant: a measure each, in the order of the panels
#   columns   attack, variant, n, measure, before, unlearned, never, attacked, low, high, and more that is not drawn
# texts 1 2 4
#   may set   title, note
set datafile missing "-"
stats table using 0 skip 1 nooutput
rows = int(STATS_records) / 4
head_of(k) = k == 0 ? "exact match" : k == 1 ? "contains the answer" : k == 2 ? "ROUGE-L recall" : "p(answer)"
stats table using (strlen(strcol(1)) + strlen(strcol(2)) + 3) skip 1 nooutput
longest = STATS_max
stats table using (valid(7) ? 1 : 0) skip 1 nooutput
never = STATS_max # 1: there is a model that was never trained on the rows

stats table using (valid(9) ? 1 : 0) skip 1 nooutput
intervals = STATS_max # 0: fewer than five rows, no intervals

panel = 180
left = 30 + 7.2 * (longest > 70 ? 70 : longest)
w = left + 4 * panel + 20
top = 70 + 16 * newlines(heading(w))
bottom = 52
h = top + bottom + 26 * (rows > 3 ? rows : 3)

set border 1
set grid xtics linetype 1 linecolor "#e0e0e0"
set xrange [-0.04:1.04]
set xtics 0, 0.25, 1 format "%g"
set yrange [rows-0.4:-0.6]
unset ytics
unset key
set bmargin at screen bottom * 1.0 / h
set tmargin at screen 1 - top * 1.0 / h
set style arrow 1 nohead linewidth 2.5 linecolor rgb okabe[1]
set style arrow 2 nohead linewidth 2.5 linecolor rgb "#999999"
set style arrow 3 nohead linewidth 1.5 dashtype 2 linecolor rgb "#000000"

do for [format in formats] {
    load "terminal.gp"
    set multiplot
    do for [k=0:3] {
        set lmargin at screen (left + k * panel) * 1.0 / w
        set rmargin at screen (left + k * panel + panel - 24.0) / w
        unset label
        set label 2 head_of(k) at graph 0.5, screen 1 - (top - 12.0) / h center
        if (k == 0) {
            set label 1 heading(w) at screen 0.5, screen 1 - 14.0 / h center
        }
        set xlabel "score"
        plot table skip 1 every 4::k using 5:($0-0.36):(0):(0.72) with vectors arrowstyle 1, \
             table skip 1 every 4::k using 6:($0-0.36):(0):(0.72) with vectors arrowstyle 2, \
             for [i=1:never] table skip 1 every 4::k using 7:($0-0.36):(0):(0.72) with vectors arrowstyle 3, \
             table skip 1 every 4::k using 8:0:9:10 with xerrorbars pointtype 0 linewidth 1.5 \
                 linecolor rgb okabe[2], \
             table skip 1 every 4::k using 8:0 with points pointtype 7 pointsize 0.7 linecolor rgb okabe[2]
    }
    # the names of the lines, left of the first panel, in pixels
    unset border; unset xtics; unset grid; unset xlabel; unset label
    set lmargin at screen 0
    set rmargin at screen left * 1.0 / w
    set xrange [0:left]
    plot table skip 1 every 4 using (12):0:1 with labels left, \
         table skip 1 every 4 using (left-12):0:2 with labels right
    set xrange [-0.04:1.04]
    # the legend, over all panels
    set lmargin at screen 0.02
    set rmargin at screen 0.98
    set key at screen 0.5, screen 1 - (top - 36.0) / h center center horizontal maxrows 1 samplen 2
    plot -9 notitle, keyentry with vectors arrowstyle 1 title "original", keyentry with vectors arrowstyle 2 title "unlearned", \
         for [i=1:never] keyentry with vectors arrowstyle 3 title "never trained", \
         keyentry with xerrorbars pointtype 7 pointsize 0.7 linewidth 1.5 linecolor rgb okabe[2] title intervals > 0 ? "attacked, 95 % interval" : "attacked"
    set border 1
    set grid xtics linetype 1 linecolor "#e0e0e0"
    set xtics 0, 0.25, 1 format "%g"
    unset key
    unset multiplot
    unset output
}
