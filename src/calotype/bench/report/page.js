"use strict";
const $ = id => document.getElementById(id);
async function unpack(id) { // base64 of gzip, see page.py
  const bytes = Uint8Array.from(atob($(id).textContent.trim()), c => c.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
}
async function start() {
  const library = document.createElement("script");
  library.textContent = await unpack("plotly");
  document.head.append(library);
  show(JSON.parse(await unpack("data")), JSON.parse($("pictures").textContent));
}
start().catch(error => { $("summary").textContent = `This page could not be shown (${error.message}). It needs a browser of 2023 or later.`; });

function show(D, P) {
const codecs = Object.keys(D.codecs), published = Object.keys(D.published);
const metrics = Object.fromEntries(D.metrics.map(m => [m.id, m]));
const esc = s => String(s ?? "").replace(/[&<>"']/g, c => "&#" + c.charCodeAt(0) + ";");
const label = name => D.published[name] ? `${D.published[name].label} (${D.published[name].measured ? "measured before" : "published"})` : name;
const num = (v, digits = 2) => v === null || v === undefined ? "" : v.toFixed(digits);
const sig = v => v === null || v === undefined ? "" : v >= 100 ? v.toFixed(0) : v >= 10 ? v.toFixed(1) : v >= 1 ? v.toFixed(2) : v.toPrecision(2);
const percent = v => (v > 0 ? "+" : v < 0 ? "\u2212" : "") + Math.abs(v).toFixed(1) + "\u2009%";
const wordy = m => m.label + (m.unit ? " [" + m.unit + "]" : "") + (m.better === "lower" ? " (lower is better)" : "");
const shown = new Set(published.filter(p => /^ref:(vtm|elic2022_mse|paper-elic2022_mse)$/.test(p)));
const PUBLISHED_COLORS = ["#000000", "#c2571a", "#2a6fb0", "#5f8f2f", "#a8327d", "#1f8a78", "#7450b8", "#b58a00"];

function options(select, values, chosen, text = v => v) {
  select.innerHTML = values.map(v => `<option value="${esc(v)}"${v === chosen ? " selected" : ""}>${esc(text(v))}</option>`).join("");
}
function swatch(name) {
  const s = D.styles[name];
  return s ? `<span class="swatch" style="border-color:${s.color};border-top-style:${s.dash === "solid" ? "solid" : s.dash === "dot" ? "dotted" : "dashed"}"></span>` : "";
}
const layout = extra => Object.assign({
  margin: {l: 62, r: 12, t: 36, b: 52}, font: {family: 'system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif', size: 13, color: "#1c1e21"},
  paper_bgcolor: "#fff", plot_bgcolor: "#fff", hoverlabel: {namelength: -1, align: "left"}, hovermode: "closest",
}, extra);
const axis = (title, extra) => Object.assign({title: {text: title}, gridcolor: "#e8eaee", linecolor: "#9aa1ac", zeroline: false, ticks: "outside", tickcolor: "#9aa1ac", automargin: true}, extra);
const config = {responsive: true, displaylogo: false, modeBarButtons: [["toImage", "zoom2d", "pan2d", "zoomIn2d", "zoomOut2d", "resetScale2d"]]};

// ---- rate and distortion ----
const hidden = new Set();
function trace(name, curve, metric, db) {
  const m = metrics[metric], values = curve.values[metric];
  if (!values || values.every(v => v === null)) return null;
  const y = db ? values.map(v => v === null || v >= 1 ? null : -10 * Math.log10(1 - v)) : values;
  const style = D.styles[name] || {color: PUBLISHED_COLORS[[...shown].indexOf(name) % PUBLISHED_COLORS.length], dash: "dot", width: 1.4};
  return {
    name: label(name), meta: name, x: curve.bpp, y, mode: "lines+markers", type: "scatter", visible: hidden.has(name) ? "legendonly" : true,
    line: {color: style.color, dash: style.dash, width: style.width, shape: "linear"},
    marker: {size: style.width > 3 ? 8 : 5, color: style.color, symbol: D.published[name] ? "x-thin-open" : "circle"},
    customdata: curve.bpp.map((_, i) => [curve.q[i] ?? ""]),
    hovertemplate: `<b>${esc(label(name))}</b><br>%{x:.4f} bpp<br>${esc(m.label)} %{y:.4f}${db || m.unit ? " dB" : ""}<br>quality %{customdata[0]}<extra></extra>`,
  };
}
function drawCurves() {
  const metric = $("rd-metric").value, image = $("rd-image").value, m = metrics[metric];
  const db = m.db && $("rd-db").checked, log = $("rd-log").checked;
  $("rd-db-label").style.display = m.db ? "" : "none";
  const source = image === "mean" ? D.mean : D.single[image];
  const names = codecs.concat(image === "mean" ? published.filter(p => shown.has(p)) : []);
  const traces = names.filter(n => source[n]).map(n => trace(n, source[n], metric, db)).filter(t => t);
  const narrow = innerWidth < 700;
  const range = log ? {} : {range: [0, Math.min(3, Math.max(0.2, ...traces.filter(t => D.codecs[t.meta]).map(t => Math.max(...t.x))) * 1.03)]};
  Plotly.react("rd-plot", traces, layout({
    xaxis: axis("rate [bits per pixel]", Object.assign({type: log ? "log" : "linear"}, range)),
    yaxis: axis(db ? m.label + " [dB]" : wordy(m), {autorange: m.better === "lower" ? "reversed" : true}),
    legend: narrow ? {orientation: "h", y: -0.2} : {x: 1.02, y: 1}, uirevision: metric + image + log + db,
  }), config);
}

// ---- BD-rate ----
function bdRows(metric, anchor) {
  const row = (D.bd[metric] || {})[anchor] || {};
  const names = codecs.concat(published.filter(p => shown.has(p)));
  return names.filter(n => row[n] && n !== anchor).map(n => ({name: n, ...row[n]}))
    .sort((a, b) => (a.mean ? a.mean.rate : Infinity) - (b.mean ? b.mean.rate : Infinity));
}
function drawBd() {
  const metric = $("bd-metric").value, anchor = $("bd-anchor").value, rows = bdRows(metric, anchor);
  const known = rows.filter(r => r.mean).map(r => r.mean.rate), low = Math.min(0, ...known), high = Math.max(0, ...known), span = high - low || 1;
  const bar = r => {
    const x0 = (Math.min(0, r.mean.rate) - low) / span * 100, width = Math.abs(r.mean.rate) / span * 100;
    const color = D.styles[r.name] ? D.styles[r.name].color : "#9aa1ac";
    return `<div class="bar"><i style="left:${x0}%;width:${Math.max(width, .5)}%;background:${color}"></i><b style="left:${-low / span * 100}%"></b></div>`;
  };
  const unit = metrics[metric].unit || (metrics[metric].db ? "dB" : "");
  const body = rows.map(r => `<tr><td class="name">${swatch(r.name)}${esc(label(r.name))}</td>` + (r.mean
    ? `<td class="n ${r.mean.rate < 0 ? "good" : "bad"}">${percent(r.mean.rate)}</td><td>${bar(r)}</td>
       <td class="n">${num(r.mean.low)} to ${num(r.mean.high)} ${unit}</td><td class="n">${(100 * r.mean.coverage).toFixed(0)}\u2009%</td>`
    : `<td class="n">\u2013</td><td>no common range, or not measured</td><td></td><td></td>`)
    + `<td class="n">${r.average === null || r.average === undefined ? "" : percent(r.average) + (r.sd === null ? "" : " \u00b1 " + num(r.sd, 1))}</td><td class="n">${r.n || ""}</td></tr>`).join("");
  $("bd-table").innerHTML = `<div class="scroll"><table><tr><th>against ${esc(label(anchor))}</th><th class="n">BD-rate</th><th></th>
    <th class="n">common range</th><th class="n">of anchor</th><th class="n">mean over pictures \u00b1 sd</th><th class="n">pictures</th></tr>${body}</table></div>`;
  drawSpeed(); drawSingle();
}

// ---- speed ----
const SIDES = [["top center", 0, -13], ["bottom center", 0, 13], ["middle right", 1, 0], ["middle left", -1, 0], ["top right", 1, -13], ["bottom right", 1, 13], ["top left", -1, -13], ["bottom left", -1, 13]];
function places(points, width, height) { // a side for each label, where it covers the least of points and other labels; also in figures.py
  const scale = (n, size) => { const v = points.map(p => p[n]), low = Math.min(...v), span = Math.max(...v) - low || 1; return p => (p[n] - low) / span * size * 0.9; };
  const x = scale(0, width), y = scale(1, height), boxes = points.map(p => [x(p) - 7, -y(p) - 7, x(p) + 7, 7 - y(p)]);
  const common = (a, b) => Math.max(0, Math.min(a[2], b[2]) - Math.max(a[0], b[0])) * Math.max(0, Math.min(a[3], b[3]) - Math.max(a[1], b[1]));
  return points.map((p, i) => {
    const half = 3.4 * p[2].length;
    const tried = SIDES.map(([side, right, down]) => {
      const middle = x(p) + right * (half + 9), box = [middle - half, down - y(p) - 7, middle + half, down - y(p) + 7];
      return {side, box, cost: boxes.reduce((sum, b, j) => sum + (j === i ? 0 : common(box, b)), 0)};
    });
    const best = tried.reduce((a, b) => b.cost < a.cost ? b : a);
    boxes.push(best.box);
    return best.side;
  });
}
function drawSpeed() {
  const way = $("speed-way").value, threads = $("speed-threads").value, metric = $("bd-metric").value, anchor = $("bd-anchor").value;
  const row = D.bd[metric][anchor] || {};
  const points = D.speed.filter(s => s.threads === threads && row[s.codec] && (row[s.codec].mean || s.codec === anchor));
  const place = points.map(s => [Math.log10(s[way + "_mps"]), s.codec === anchor ? 0 : row[s.codec].mean.rate, s.codec]);
  const taken = places(place, $("speed-plot").clientWidth - 90, 390);
  const traces = points.map((s, i) => ({
    name: s.codec, x: [s[way + "_mps"]], y: [s.codec === anchor ? 0 : row[s.codec].mean.rate], mode: "markers+text", type: "scatter", text: [s.codec],
    textposition: taken[i], textfont: {size: 12, color: D.styles[s.codec].color}, cliponaxis: false,
    marker: {size: D.styles[s.codec].width > 3 ? 15 : 10, color: D.styles[s.codec].color},
    hovertemplate: `<b>${esc(s.codec)}</b><br>%{x:.3g} MP/s at ${num(s.bpp)} bpp<br>BD-rate %{y:.1f} %<extra></extra>`,
  }));
  Plotly.react("speed-plot", traces, layout({showlegend: false,
    xaxis: axis(way + " speed [megapixels per second]", {type: "log", dtick: 1, minor: {dtick: "D1", gridcolor: "#f3f4f6"}}),
    yaxis: axis(`BD-rate [%] in ${metrics[metric].label}`, {zeroline: true, zerolinecolor: "#9aa1ac"}),
    annotations: [{text: "better \u2198", xref: "paper", yref: "paper", x: 1, y: 0, yanchor: "bottom", showarrow: false, font: {color: "#5d6470"}},
      {text: "against " + esc(label(anchor)), xref: "paper", yref: "paper", x: 0, y: 1, yanchor: "bottom", showarrow: false, font: {color: "#5d6470"}}],
  }), config);
}
function drawSpeedTable() {
  const learned = codecs.some(c => D.codecs[c].complexity);
  const body = D.speed.map(s => { const c = D.codecs[s.codec].complexity, k = c && c.kmac_per_pixel; return `<tr><td class="name">${swatch(s.codec)}${esc(s.codec)}</td><td>${s.threads}</td><td class="n">${num(s.bpp)}</td>
    <td class="n">${sig(s.encode_mps)}</td><td class="n">${sig(s.decode_mps)}</td><td class="n">${sig(s.encode_cpu_mps)}</td><td class="n">${sig(s.decode_cpu_mps)}</td>
    <td class="n">${num(s.encode_mib, 0)}</td><td class="n">${num(s.decode_mib, 0)}</td>
    ${!learned ? "" : `<td class="n">${c && c.parameters ? (c.parameters / 1e6).toFixed(2) + " M" : ""}</td><td class="n">${!k ? "" : k.encode === undefined ? sig(k.total) + " in all" : sig(k.encode) + " / " + sig(k.decode)}</td>`}</tr>`; }).join("");
  const heads = ["encode<br>MP/s", "decode<br>MP/s", "encode<br>MP/CPU s", "decode<br>MP/CPU s", "encode<br>MiB", "decode<br>MiB"].concat(learned ? ["para-<br>meters", "kMAC/pixel<br>enc / dec"] : []);
  $("speed-table").innerHTML = `<div class="scroll"><table><tr><th>codec</th><th>threads</th><th class="n">bpp</th>${heads.map(h => `<th class="n">${h}</th>`).join("")}</tr>${body}</table></div>`;
  const cpu = D.speed.filter(s => s.clock === "cpu_seconds").map(s => s.codec);
  const rules = [...new Set(codecs.map(c => (D.codecs[c].complexity || {}).rule).filter(r => r))];
  $("speed-hint").textContent = "Medians over pictures of medians over runs, warm, alone on the machine, at each codec's point nearest to 0.5 bpp. "
    + (cpu.length ? `Without a timing pass, by processor time of the main pass: ${cpu.join(", ")}. ` : "")
    + "MP/CPU s counts processor seconds of all threads. Memory is the peak above what the process held before, the largest over pictures; programs that are started count in full."
    + (rules.length ? " kMAC/pixel: " + rules.join("; ") + "." : "");
}

// ---- BD-rate by picture ----
let order = {key: "", down: false};
function drawSingle() {
  const metric = $("bd-metric").value, anchor = $("bd-anchor").value, row = D.bd[metric][anchor] || {};
  const names = codecs.filter(c => c !== anchor && row[c] && row[c].images && Object.keys(row[c].images).length);
  if (!names.length) {
    const why = D.published[anchor] ? "Published curves are means: they have no single pictures. Choose another anchor above."
      : codecs.length < 2 ? "There is only one codec in this run." : "No other codec has a range in common with this anchor on any picture.";
    $("single-table").innerHTML = `<p class="hint">${why}</p>`; return;
  }
  let images = D.images.map(i => i.name).filter(i => names.some(c => row[c].images[i] !== undefined));
  if (order.key && names.includes(order.key)) images.sort((a, b) => (row[order.key].images[a] ?? 1e9) - (row[order.key].images[b] ?? 1e9));
  if (order.down) images.reverse();
  const cell = v => v === undefined ? '<td class="n">\u2013</td>' : `<td class="n ${v < 0 ? "good" : "bad"}">${percent(v)}</td>`;
  $("single-table").innerHTML = `<table><tr><th class="sort" data-key="">picture</th>${names.map(c => `<th class="n sort" data-key="${esc(c)}">${esc(c)}</th>`).join("")}</tr>`
    + images.map(i => `<tr><td class="name">${esc(i)}</td>${names.map(c => cell(row[c].images[i])).join("")}</tr>`).join("") + "</table>";
  $("single-table").querySelectorAll("th.sort").forEach(th => th.onclick = () => { order = {key: th.dataset.key, down: order.key === th.dataset.key && !order.down}; drawSingle(); });
}

// ---- side by side ----
let split = 0.5, focus = "50% 50%";
const chosen = () => P.sets.find(s => s.image === $("cmp-image").value && String(s.wanted) === $("cmp-rate").value);
const versions = () => (P.originals[chosen().image] ? [{name: "original", src: P.originals[chosen().image]}] : []).concat(chosen().versions);
const off = v => { const r = v.bpp / chosen().wanted; return r > 1.1 || r < 1 / 1.1 ? `, ${percent(100 * (r - 1))} off the rate` : ""; };
function caption(v) {
  const m = v.metrics && v.metrics.psnr_rgb;
  return v.bpp === undefined ? v.name : `${v.name}  ${v.bpp.toFixed(3)} bpp${off(v)}${m ? "  " + m.toFixed(2) + " dB" : ""}`;
}
function chooseImage() {
  const rates = P.sets.filter(s => s.image === $("cmp-image").value).map(s => String(s.wanted));
  options($("cmp-rate"), rates, rates.includes($("cmp-rate").value) ? $("cmp-rate").value : rates[0], r => `${r} bpp`);
  chooseVersions();
}
function chooseVersions() {
  const set = chosen(), names = versions().map(v => v.name);
  const keep = (id, fallback) => names.includes($(id).value) ? $(id).value : names.includes(fallback) ? fallback : names[0];
  const left = keep("cmp-left", names.includes("calotype") ? "calotype" : names[1]), right = keep("cmp-right", D.anchor);
  const text = n => { const v = versions().find(x => x.name === n); return v.bpp === undefined ? n : `${n} (${v.bpp.toFixed(3)} bpp${off(v)})`; };
  options($("cmp-left"), names, left, text);
  options($("cmp-right"), names, right !== left ? right : names.find(n => n !== left) || left, text);
  const whole = D.images.find(i => i.name === set.image) || set;
  $("cmp-crop").textContent = whole.width > set.width || whole.height > set.height ? `the middle of the picture, ${set.width} x ${set.height} of ${whole.width} x ${whole.height} pixels` : "the whole picture";
  drawCompare();
}
function drawCompare() {
  const find = id => versions().find(v => v.name === $(id).value), a = find("cmp-left"), b = find("cmp-right");
  $("cmp-a").src = a.src; $("cmp-b").src = b.src;
  $("cmp-tag-a").textContent = caption(a); $("cmp-tag-b").textContent = caption(b);
  const zoom = +$("cmp-zoom").value, set = chosen(), enlarged = set.width <= 400 ? 2 : 1; // small crops at twice their size
  for (const id of ["cmp-a", "cmp-b"]) {
    $(id).style.width = `${enlarged * set.width}px`;
    $(id).style.transform = `scale(${zoom})`; $(id).style.transformOrigin = focus; $(id).style.imageRendering = zoom * enlarged > 1 ? "pixelated" : "auto";
  }
  $("cmp-inner").style.overflow = "hidden";
  moveSplit(split);
}
function moveSplit(s) {
  split = Math.min(1, Math.max(0, s));
  $("cmp-clip").style.clipPath = `inset(0 ${100 - 100 * split}% 0 0)`;
  $("cmp-bar").style.left = `calc(${100 * split}% - 1px)`;
  $("cmp-stage").setAttribute("aria-valuenow", Math.round(100 * split));
}
function setUpCompare() {
  if (!P.sets.length) { $("compare").innerHTML = `<h2>Side by side</h2><p class='hint'>${P.lost ? "The pictures of this run are not in its folder." : "This run kept no pictures."}</p>`; return; }
  const images = [...new Set(P.sets.map(s => s.image))];
  options($("cmp-image"), images, images[0]);
  $("cmp-stored").textContent = P.told;
  const stage = $("cmp-stage"), at = e => { const r = stage.getBoundingClientRect(); moveSplit((e.clientX - r.left) / r.width); };
  stage.onpointerdown = e => { stage.setPointerCapture(e.pointerId); at(e); };
  stage.onpointermove = e => { if (e.buttons) at(e); };
  stage.ondblclick = e => {
    const r = stage.getBoundingClientRect();
    focus = `${100 * (e.clientX - r.left) / r.width}% ${100 * (e.clientY - r.top) / r.height}%`;
    if ($("cmp-zoom").value === "1") $("cmp-zoom").value = "2";
    drawCompare();
  };
  stage.onkeydown = e => { const d = {ArrowLeft: -0.02, ArrowRight: 0.02}[e.key]; if (d) { moveSplit(split + d); e.preventDefault(); } };
  $("cmp-image").onchange = chooseImage;
  $("cmp-rate").onchange = chooseVersions;
  for (const id of ["cmp-left", "cmp-right", "cmp-zoom"]) $(id).onchange = drawCompare;
  chooseImage();
}

// ---- tables ----
function drawTables() {
  $("codec-table").innerHTML = "<table><tr><th>codec</th><th>version</th><th>settings</th><th>quality</th><th>points</th></tr>" + codecs.map(c => { const k = D.codecs[c];
    return `<tr><td class="name">${swatch(c)}${esc(c)}</td><td class="wide" style="min-width:180px">${esc(k.version)}</td><td class="wide">${esc(k.settings)}</td><td class="wide" style="min-width:150px">${esc(k.quality_unit)}</td><td class="wide" style="min-width:110px">${k.qualities.join(", ")}</td></tr>`; }).join("") + "</table>";
  if (D.missing.length) $("missing").innerHTML = "<h3>Asked for, but not usable here</h3><table>" + D.missing.map(m =>
    `<tr><td class="name">${esc(m.codec)}</td><td class="wide">${esc(m.reason)}</td><td class="wide">${esc(m.install)}</td></tr>`).join("") + "</table>";
  $("failure-table").innerHTML = !D.failures.length ? "<p class='hint'>None.</p>" : "<table><tr><th>kind</th><th>codec</th><th>picture</th><th>quality</th><th>what happened</th></tr>" + D.failures.map(f =>
    `<tr><td class="name">${esc(f.kind)}</td><td>${esc(f.codec)}</td><td>${esc(f.image)}</td><td class="n">${esc(f.quality)}</td><td class="wide">${esc(f.message)}</td></tr>`).join("") + "</table>";
  const h = D.run.hardware || {}, e = D.run.engine || {};
  const runs = D.run.sessions || [], hours = s => s > 5400 ? (s / 3600).toFixed(1) + " h" : (s / 60).toFixed(1) + " min";
  const rows = {started: D.run.started, finished: D.run.finished, measuring: D.run.active_seconds === undefined ? null : `${hours(D.run.active_seconds)} in ${runs.length} run${runs.length === 1 ? "" : "s"}`,
    command: D.command, commit: D.run.commit,
    machine: `${h.processor}, ${h.cores_usable} of ${h.cores} cores, ${h.memory_gib} GiB, ${h.system}, Python ${h.python}`,
    engine: `${e.engine}, ${e.workers} workers`, libraries: Object.entries(D.run.libraries || {}).map(x => x.join(" ")).join(", ")};
  const part = r => `<tr><td class="name">${esc(r.started)}</td><td class="wide">to ${esc(r.finished)}</td><td class="n">${esc(r.tasks)} tasks</td><td class="wide">${esc(r.commit ?? "unknown commit")}</td><td class="wide">${esc((r.hardware || {}).cores_usable)} cores usable</td><td class="wide"><code>${esc((r.command || []).join(" "))}</code></td></tr>`;
  $("run-table").innerHTML = "<table>" + Object.entries(rows).map(([k, v]) => `<tr><th>${k}</th><td><code>${esc(v ?? "unknown")}</code></td></tr>`).join("") + "</table>"
    + (runs.length > 1 ? `<h3>Measured in ${runs.length} runs</h3><div class="scroll"><table>${runs.map(part).join("")}</table></div>` : "");
  const f = D.failures.length;
  $("summary").textContent = `${(D.run.finished || "").slice(0, 10)} \u00b7 ${h.processor} \u00b7 ${f ? f + (f > 1 ? " failures" : " failure") : "no failures"}`;
}
function drawPublished() {
  if (!published.length) { $("published").style.display = "none"; return; }
  const box = p => `<label title="${esc(D.published[p].source + " " + D.published[p].note)}"><input type="checkbox" value="${esc(p)}"${shown.has(p) ? " checked" : ""}> ${esc(D.published[p].label)}</label>`;
  const group = (title, names) => names.length ? `<h3>${title}</h3><div class="checks">${names.map(box).join("")}</div>` : "";
  $("published-list").innerHTML = group("Published by others", published.filter(p => !D.published[p].measured))
    + group("Measured with this benchmark's settings before", published.filter(p => D.published[p].measured));
  $("published-list").onchange = e => { shown[e.target.checked ? "add" : "delete"](e.target.value); drawCurves(); drawBd(); };
}

const ids = D.metrics.map(m => m.id);
options($("rd-metric"), ids, ids[0], m => metrics[m].label);
options($("rd-image"), ["mean", ...Object.keys(D.single)], "mean", i => i === "mean" ? `mean of ${D.images.length}` : i);
options($("bd-metric"), ids, ids[0], m => metrics[m].label);
options($("bd-anchor"), codecs.concat(published), D.anchor, label);
options($("speed-threads"), [...new Set(D.speed.map(s => s.threads))], "1", t => t === "all" ? "all cores" : "one");
for (const id of ["rd-metric", "rd-image", "rd-log", "rd-db"]) $(id).onchange = drawCurves;
for (const id of ["bd-anchor", "bd-metric"]) $(id).onchange = drawBd;
for (const id of ["speed-way", "speed-threads"]) $(id).onchange = drawSpeed;
drawPublished(); drawTables(); drawSpeedTable(); drawCurves(); drawBd(); setUpCompare();
$("rd-plot").on("plotly_legendclick", e => { const n = e.data[e.curveNumber].meta; hidden.has(n) ? hidden.delete(n) : hidden.add(n); });
}
