#!/usr/bin/env bash
# usage: test_trace_page.sh DELEATUR SOURCE_DIR
#
# A trace's page.html, opened in a headless Chromium: pointing at a cell shows the very numbers that are in summary.tsv,
# facts.jsonl and effects.tsv, the arrow keys do as well, nothing is fetched, and text from a fact file stays text.
set -u
deleatur=$1 source=$2
model=$source/data/models/demo facts=$source/data/facts/demo_facts.json
[ -e "$model/model.safetensors" ] || { echo "skipped: the embedded model is not in $model"; exit 77; }
for browser in chromium chromium-browser google-chrome ''; do command -v "$browser" >/dev/null && break; done
[ -n "$browser" ] || { echo "skipped: no chromium to open the page with (Debian: apt-get install chromium)"; exit 77; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
fail() { echo "FAILED: $*"; exit 1; }
trace() { "$deleatur" trace "$model" --quiet --samples 3 --threads 2 --kinds hidden,mlp --pictures 0 "$@" >/dev/null; }

# visit PAGE FRAGMENT SCRIPT: opens a copy of the page with a script of ours after its own; what it notes down is printed.
visit() {
    sed 's|</body>||; s|</html>||' "$1" >"$dir/visited.html"
    cat >>"$dir/visited.html" <<HTML
<pre id="noted"></pre><script>
const notes = [];
addEventListener('error', event => notes.push('error ' + event.message));
const note = (name, value) => notes.push(name + '\t' + value);
const square = (where, cell) => document.querySelector(where + ' [data-cell="' + cell + '"]');
function point(where, cell) { // whatever lies under the middle of that cell is what the pointer meets
  const wanted = square(where, cell);
  wanted.scrollIntoView({block: 'center'});
  const box = wanted.getBoundingClientRect(), x = box.x + box.width / 2, y = box.y + box.height / 2;
  document.elementFromPoint(x, y).dispatchEvent(new PointerEvent('pointerover', {bubbles: true, clientX: x, clientY: y}));
}
function noteTip(name) {
  const tip = document.getElementById('tip'), names = [...tip.querySelectorAll('dt')];
  note(name, tip.querySelector('strong')?.textContent ?? 'nothing');
  for (const dt of names) note(name + ' ' + dt.textContent, dt.nextSibling.textContent.replaceAll('−', '-'));
}
addEventListener('load', () => { $3; document.getElementById('noted').textContent = notes.join('\n'); });
</script></body></html>
HTML
    "$browser" --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --user-data-dir="$dir/profile" \
        --window-size=1200,900 --virtual-time-budget=5000 --dump-dom "file://$dir/visited.html#$2" 2>"$dir/browser.log" |
        awk '/<pre id="noted">/ { on = 1; sub(/.*<pre id="noted">/, "") } on { end = sub(/<\/pre>.*/, ""); print } end { exit }'
}
noted() { awk -F'\t' -v name="$1" '$1 == name { print $2; exit }' "$dir/notes"; }
same() { # WHAT SHOWN EXPECTED: equal when the expected one is rounded to the four digits that are shown
    awk -v a="$2" -v b="$3" 'BEGIN { exit !(a != "" && b != "" && sprintf("%.4g", b) + 0 == a + 0) }' ||
        fail "$1: the page shows \"$2\", the tables say \"$3\""
}
near() { # WHAT SHOWN EXPECTED TOLERANCE
    awk -v a="$2" -v b="$3" -v tolerance="$4" 'BEGIN { d = a - b; exit !(a != "" && b != "" && d <= tolerance && -d <= tolerance) }' ||
        fail "$1: the page shows \"$2\", the tables say \"$3\""
}

trace --facts "$facts" --limit 5 --out "$dir/a" || fail "the trace itself"
tokens=$(sed -n 's/.*"tokens":\[\([^]]*\)\].*/\1/p' "$dir/a/facts.jsonl" | sed -n 2p | tr ',' '\n' | wc -l)
id=$(sed -n '2s/.*"id":\([0-9]*\),.*/\1/p' "$dir/a/facts.jsonl")
last=$((tokens - 1))
visit "$dir/a/page.html" "chart=hidden&fact=$id" "
    point('#average', '5,3'); noteTip('mean');
    document.querySelector('#average table').dispatchEvent(new PointerEvent('pointerleave')); noteTip('left');
    point('#fact', '$last,6'); noteTip('fact');
    square('#average', '0,0').focus(); noteTip('focus');
    square('#average', '0,0').dispatchEvent(new KeyboardEvent('keydown', {key: 'ArrowDown', bubbles: true})); noteTip('key');
    note('controls', document.querySelectorAll('#average .control').length);
    note('words', document.querySelector('#layers .words').textContent.split('; mask.json')[0]);
    note('best', document.querySelector('#layers tbody tr td:nth-child(2)').textContent);
    note('fetched', performance.getEntriesByType('resource').length);
    note('rows', document.querySelectorAll('#facts tr').length)" >"$dir/notes"
[ -s "$dir/notes" ] || { cat "$dir/browser.log"; fail "the page noted nothing down"; }
grep '^error' "$dir/notes" && fail "the page's script stumbled"

summary() { awk -F'\t' -v k="$1" '$1 == "hidden" && $2 == "p" && $3 == 3 && $4 == "last" { print $k }' "$dir/a/summary.tsv"; }
[ "$(noted mean)" = "last token · layer 3" ] || fail "pointing at the average: $(cat "$dir/notes")"
same "mean score" "$(noted 'mean p(answer)')" "$(summary 6)"
same "mean effect" "$(noted 'mean indirect effect')" "$(summary 9)"
same "mean clean" "$(noted 'mean clean')" "$(summary 8)"
same "mean corrupted" "$(noted 'mean corrupted')" "$(summary 7)"
read -r from _ to <<<"$(noted 'mean 95 % interval over 5 facts')"
same "lower end" "$from" "$(summary 11)"
same "upper end" "$to" "$(summary 12)"
same "the part of the total effect" "$(noted 'mean of the total effect')" "$(summary 15)"
[ "$(noted controls)" = 3 ] || fail "three controls make $(noted controls) lines"
[ "hidden: $(sed -n 's/^# hidden: //p' "$dir/a/layers.tsv")" = "$(noted words)" ] || fail "the page says of the layers: $(noted words)"
[ "$(noted best)" = "$(awk -F'\t' '$1 == "hidden" && $5 == 1 { print $2 }' "$dir/a/layers.tsv")" ] || fail "the best layer is $(noted best)"
[ "$(noted left)" = nothing ] || fail "a pointer that left still shows numbers"
[ "$(noted focus)" = "first subject token · layer 0" ] || fail "focus shows $(noted focus)"
[ "$(noted key)" = "middle subject token · layer 0" ] || fail "an arrow key leads to $(noted key)"
[ "$(noted fetched)" = 0 ] || fail "the page fetched something"
[ "$(noted rows)" = 5 ] || fail "five facts make $(noted rows) rows"

# one fact's cell: the effect is the mean over three draws, its interval 4.3027 (Student's t) standard errors to each side
effects() { awk -F'\t' -v id="$id" -v k="$1" '$1 == id && $2 == "hidden" && $3 == "last" && $4 == 6 { print $k }' "$dir/a/effects.tsv"; }
grep -q "^fact	$last “.*” (last) · layer 6$" "$dir/notes" || fail "pointing at a fact: $(noted fact)"
near "a fact's effect" "$(noted 'fact indirect effect')" "$(effects 6)" 1e-4
corrupted=$(sed -n '2s/.*"corrupted":\([0-9.e-]*\).*/\1/p' "$dir/a/facts.jsonl")
near "a fact's corrupted p" "$(noted 'fact corrupted')" "$corrupted" 1e-4
near "a fact's score" "$(noted 'fact p(answer)')" "$(awk -v a="$(effects 6)" -v b="$corrupted" 'BEGIN { print a + b }')" 1e-4
read -r from _ to <<<"$(noted 'fact 95 % interval over 3 draws')"
half=$(awk -v se="$(effects 7)" 'BEGIN { print 4.302653 * se }')
near "half of the interval" "$(awk -v a="$from" -v b="$to" 'BEGIN { print (b - a) / 2 }')" "$half" \
     "$(awk -v h="$half" 'BEGIN { print 0.005 * h + 1e-4 }')" # it is stored with eight bits

# Severed paths are bars: three a layer.
trace --facts "$facts" --limit 2 --kinds hidden --sever mlp,attn --out "$dir/cut" || fail "severed paths"
visit "$dir/cut/page.html" "" "note('bars', document.querySelectorAll('#average .bar').length)" >"$dir/notes"
[ "$(noted bars)" = 24 ] || fail "three charts of eight layers make: $(cat "$dir/notes")"

# Before and after: the maps are beside each other, and a cell of either shows both and their paired difference.
trace --facts "$facts" --limit 5 --seed 2 --out "$dir/later" || fail "the trace after"
"$deleatur" trace --compare "$dir/a" "$dir/later" --out "$dir/both" >/dev/null || fail "the comparison"
visit "$dir/both/page.html" "chart=mlp&fact=$id" "
    point('#average .pair figure:nth-child(1)', '2,3'); noteTip('before');
    point('#average .pair figure:nth-child(2)', '2,3'); noteTip('after');
    point('#fact .pair figure:nth-child(2)', '$last,6'); noteTip('fact');
    note('title', document.title); note('fetched', performance.getEntriesByType('resource').length)" >"$dir/notes"
grep '^error' "$dir/notes" && fail "the script of the comparison's page stumbled"
change() { awk -F'\t' -v k="$1" '$1 == "mlp" && $2 == "p" && $3 == "last subject" && $4 == 3 { print $k }' "$dir/both/compare.tsv"; }
[ "$(noted title)" = "Causal trace: demo, then demo" ] && [ "$(noted fetched)" = 0 ] || fail "the comparison's page: $(cat "$dir/notes")"
same "the effect before" "$(noted 'before indirect effect')" "$(change 6)"
same "the effect after, from before" "$(noted 'before indirect effect after')" "$(change 7)"
same "the effect after" "$(noted 'after indirect effect')" "$(change 7)"
same "the difference" "$(noted 'after after − before')" "$(change 8)"
read -r from _ to <<<"$(noted 'after 95 % interval over 5 facts, paired')"
same "its lower end" "$from" "$(change 10)"
same "its upper end" "$to" "$(change 11)"
near "a fact's change" "$(noted 'fact after − before')" \
     "$(awk -v a="$(noted 'fact indirect effect')" -v b="$(noted 'fact indirect effect before')" 'BEGIN { print a - b }')" 1e-4

# Text that would be markup stays text, in what was traced and in what was left out.
cat >"$dir/hostile.json" <<'JSON'
[{"known_id": 1, "subject": "Arlo</script><img src=x>", "attribute": "town</script>",
  "prompt": "Arlo</script><img src=x> <b id=evil onclick=x>\"'& went <!--<script>to"},
 {"known_id": 2, "subject": "Bo", "attribute": "x",  "prompt": "Bo </SCRIPT><script>document.title = 'taken'</script>"}]
JSON
trace --facts "$dir/hostile.json" --answer attribute --out "$dir/b" || fail "tracing odd text"
trace --facts "$dir/hostile.json" --out "$dir/c" || fail "leaving odd text out"
for result in b c; do
    visit "$dir/$result/page.html" "" "
        note('title', document.title); note('evil', document.querySelectorAll('#evil, img').length);
        note('scripts', document.scripts.length);
        note('text', document.getElementById('$([ $result = b ] && echo facts || echo left-out)').textContent.includes(
            'Bo \\u003c/SCRIPT>\\u003cscript>document.title'))" >"$dir/notes"
    [ "$(noted title)" = "Causal trace: demo" ] || fail "a prompt changed the page ($result): $(cat "$dir/notes")"
    [ "$(noted evil)" = 0 ] && [ "$(noted scripts)" = 3 ] || fail "a prompt became markup ($result): $(cat "$dir/notes")"
    [ "$(noted text)" = true ] || fail "a prompt is not shown as it stands ($result): $(cat "$dir/notes")"
done

# Drawn again from the result alone, without the model.
cp "$dir/a/page.html" "$dir/before.html"
rm "$dir/a/page.html"
"$deleatur" plot "$dir/a" >/dev/null 2>"$dir/said" || [ ! -x "$(command -v gnuplot)" ] || fail "deleatur plot: $(cat "$dir/said")"
cmp "$dir/before.html" "$dir/a/page.html" || fail "deleatur plot made another page"
echo "all as it should be"
