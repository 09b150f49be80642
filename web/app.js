// The viewer's page: what its buttons, keys and dropped files do. Pictures are in picture.js, the screen in stage.js.

import { Pool } from "./decoder/pool.js";
import { checkSize, forget } from "./decoder/encode.js";
import { Blind } from "./blind.js";
import { describe } from "./facts.js";
import { Making } from "./making.js";
import { Picture, bytesText, fetchText } from "./picture.js";
import { avif, rival } from "./rival.js";
import { Stage, alike } from "./stage.js";

const $ = (id) => document.getElementById(id);
$("disk").hidden = true; // a page that is opened from disk runs no modules
const pool = new Pool();
const stage = new Stage($("view"), $("slider"), () => ($("zoom").textContent = percent(stage.scale)));
const pictures = [];
const bar = { quality: $("quality"), chosen: $("chosen"), made: $("made"), note: $("hint"), told: $("told"), exact: $("noloss"), lost: $("lost"), save: $("savecalo") };
const making = new Making(bar, pool, changed, fetched);
const blind = new Blind($("blind"), pictures, pool, fetched, () => making.picture?.state === "encoding" || forget());
let left = null, right = null;

const percent = (scale) => (scale >= 0.1 ? `${Math.round(100 * scale)} %` : `${(100 * scale).toFixed(1)} %`);

// ---- files ----

/** Adds files (File) or addresses (string); `side` is where the first of them goes if both sides are taken. */
function open(sources, side = "left") {
  const added = sources.map((source) => {
    const name = typeof source === "string" ? nameOf(source) : source.name;
    return new Picture(source, name || "unnamed", pool, changed);
  });
  if (added.length === 0) return;
  pictures.push(...added);
  const [first, second] = added;
  if (shownMaking()) show(first, second ?? null); // another photograph
  else if (!left || left.state === "failed") show(first, second ?? right);
  else if (second) show(first, second);
  else if (!right || side === "right") show(left, first);
  else show(first, right);
}

function nameOf(address) {
  const last = new URL(address).pathname.split("/").pop();
  try {
    return decodeURIComponent(last);
  } catch {
    return last;
  }
}

function show(onLeft, onRight) {
  if (onRight === onLeft) onRight = null;
  for (const picture of pictures) if (picture !== onLeft && picture !== onRight) picture.release();
  [left, right] = [onLeft, onRight];
  $("empty").hidden = true;
  for (const id of ["stage", "tools", "choice"]) $(id).hidden = false;
  choices($("left"), left, false);
  choices($("right"), right, true);
  for (const picture of [left, right]) picture?.load();
  update();
}

function choices(select, chosen, none) {
  const list = pictures.map((picture, k) => new Option(picture.name, k, false, picture === chosen));
  if (none) list.unshift(new Option("nothing", "", false, chosen === null));
  select.replaceChildren(...list);
}

/** Whether what is shown is a file that is made here beside its original. */
const shownMaking = () => making.picture && [left, right].includes(making.picture) && [left, right].includes(making.original);

/** The picture on the screen of which a file can be made, unless what is made of it is there. */
function source() {
  const shown = [left, right].includes(making.picture) ? making.original : null;
  const some = [left, right].filter((p) => p?.state === "done" && !p.calo && !p.rival && p !== shown);
  return some.find((p) => !hindrance(p)) ?? some[0];
}

/** Why no file can be made of a picture here, or "". */
function hindrance(picture) {
  try {
    checkSize(picture);
    return "";
  } catch (error) {
    return `${error.message}; the program, calotype encode, takes larger ones`;
  }
}

function encode() {
  const original = source();
  if (!original || hindrance(original)) return;
  const made = making.picture?.bytes; // none, if it was given up or failed
  if (making.picture && !made) pictures.splice(pictures.indexOf(making.picture), 1);
  if (original !== making.original || !made) {
    making.begin(original);
    pictures.push(making.picture);
  }
  show(making.picture, original);
  $("quality").focus();
  avif().then((way) => ($("avif").hidden = way === ""));
}

let compared = null; // what another codec tries: a text, and what ends it

/** Shows another codec's file of the original, of the size that the made one has, beside it. */
async function compare(kind) {
  const { original, picture } = making, ends = new AbortController(), { signal } = ends;
  if (picture?.state !== "done") return;
  compared?.ends.abort(new DOMException("another one is wanted", "AbortError"));
  const mine = (compared = { ends, text: kind });
  const onTry = (quality) => {
    mine.text = `${kind} of ${bytesText(picture.size)}: trying quality ${quality}`;
    update();
  };
  try {
    const file = await rival(making.pixels, kind, picture.size, original.name, { signal, onTry });
    signal.throwIfAborted();
    compared = null;
    if (!file) return complain(`${original.name}: the smallest ${kind} is larger than ${bytesText(picture.size)}`);
    const other = new Picture(file, file.name, pool, changed);
    other.rival = original;
    pictures.push(other);
    show(picture, other);
  } catch (error) {
    if (!signal.aborted) complain(`${original.name}: ${error.message}`);
  } finally {
    if (compared === mine) compared = null;
    update();
  }
}

const chosen = (select) => pictures[select.value] ?? null; // "" is none of them

// ---- what is shown ----

function changed(picture) {
  if (picture === left || picture === right) update();
}

let fetching = null; // how much of a pack is there, while one is fetched

function fetched(now) {
  blind.fetching(now);
  if (now.over && !fetching) return;
  fetching = now.over ? null : now;
  if (left) update();
}
pool.onFetch = fetched;

function update() {
  const both = [left, right].filter(Boolean), well = both.filter((p) => p.state !== "failed");
  const able = well.filter((p) => p.width > 0 || !p.made); // of a file that is still being made there is nothing to see
  stage.show(able[0] ?? null, able[1] ?? null);
  $("stage").classList.toggle("seen", able.some((p) => p.described?.info.alpha));
  $("swap").disabled = !right;
  legend(able.filter((p) => p.calo));
  $("save").disabled = !left?.calo || left.state !== "done" || left.note !== "" || saving;
  for (const [side, picture] of [["left", left], ["right", right]]) {
    $("stage").dataset[side] = picture?.state ?? "";
    $(`name${side}`).hidden = able.length < 2;
    $(`name${side}`).textContent = picture ? picture.name : "";
  }
  $("view").setAttribute("aria-label", both.map((p) => p.name).join(" beside "));
  const original = source(), why = original ? hindrance(original) : "";
  $("encode").hidden = !original;
  $("encode").disabled = why !== "";
  $("encode").title = why || "Make a .calo file of the picture (e)";
  $("cannot").textContent = why && `${why[0].toUpperCase()}${why.slice(1)}.`;
  $("cannot").hidden = why === "";
  $("blindly").hidden = !blind.possible;
  blind.update();
  if (compared && (making.picture?.state !== "done" || !both.includes(making.picture)))
    compared.ends.abort(new DOMException("it is of another size now", "AbortError"));
  for (const id of ["jpeg", "webp", "avif"]) $(id).disabled = making.picture?.state !== "done";
  $("making").hidden = !both.includes(making.picture);
  const busy = well.filter((p) => p.state !== "done");
  $("progress").hidden = busy.length === 0;
  $("progress").value = fetching?.total ? fetching.done / fetching.total : busy.length ? busy.reduce((sum, p) => sum + p.share, 0) / busy.length : 0;
  $("status").textContent = [...both.map(line), ...difference(able), ...(compared ? [compared.text] : [])].join("   |   ");
  list(both);
  const failed = both.filter((p) => p.state === "failed");
  if (failed.some((p) => !p.told)) {
    for (const picture of failed) picture.told = true;
    complain(failed.map((p) => `${p.name}: ${p.error.message}`).join("\n"), failed.filter((p) => p.remains));
  }
}

/** Says what the colours mean: those of places, or of tiles as long as places are not counted. */
function legend(some) {
  $("bits").hidden = some.length === 0;
  if (stage.overlays.bits) some.forEach((p) => p.count());
  some = some.filter((p) => p.places || p.tiles.length > 1);
  $("legend").hidden = some.length === 0 || !stage.overlays.bits;
  stage.mostBits = Math.max(...some.map((p) => p.mostBits)); // one scale, so that two pictures compare
  const sizes = some.flatMap((p) => p.tiles.map(({ bytes }) => bytes)).sort((a, b) => a - b);
  const last = sizes.length > 1 ? ` to ${bytesText(sizes.at(-1))}` : "";
  $("sizes").textContent = `Bytes of each tile: ${bytesText(sizes[0] ?? 0)}${last}`;
  $("most").textContent = `${stage.mostBits.toFixed(2)} bits per pixel${some.some((p) => p.places) ? " or more" : ""}`;
}

let listed = ""; // what the facts are of

function list(both) {
  const now = $("panel").hidden ? "" : both.map((p) => [pictures.indexOf(p), p.width, !p.fields, p.calo, p.size, p.error?.message].join()).join(";");
  if (now === listed) return;
  listed = now;
  $("panel").replaceChildren(...both.flatMap(describe));
}

/** What is said of two pictures that differ in size: one is drawn as large as the other. */
function difference([one, other]) {
  if (!other || !one.width || !other.width || (one.width === other.width && one.height === other.height)) return [];
  return [alike(one, other) ? "the sizes differ: the right one is scaled to the left one" : "the shapes differ: the right one is fitted into the left one"];
}

function line(picture) {
  const facts = [picture.name];
  if (picture.width > 0) facts.push(`${picture.width} × ${picture.height}`);
  const known = picture.size > 0 && picture.state !== "encoding"; // what is shown then is of another quality
  if (known) facts.push(bytesText(picture.size));
  if (known && picture.width > 0) facts.push(`${picture.bpp.toFixed(2)} bpp`);
  if (known && picture.rival && picture.rival === making.original && making.picture.state === "done") facts.push(beside(picture.size / making.picture.size));
  const share = `${Math.round(100 * picture.share)} %`;
  const states = { waiting: "reading", encoding: `encoding ${share}`, preview: "preview", parts: share, failed: "cannot be shown" };
  const waits = fetching && ["waiting", "encoding", "preview"].includes(picture.state) && (picture.begun || picture.made);
  if (waits) facts.push(fetchText(fetching));
  else if (picture.state !== "done") facts.push(states[picture.state]);
  else if (picture.note) facts.push(picture.note);
  else if (picture.calo && !picture.made) facts.push(`decoded in ${picture.seconds.toFixed(1)} s`);
  return facts.join(" · ");
}

/** How large a file is beside the one that is made here. */
function beside(share) {
  const percents = 100 * Math.abs(share - 1);
  return percents < 0.5 ? "the same size" : `${percents.toFixed(percents < 10 ? 1 : 0)} % ${share < 1 ? "smaller" : "larger"}`;
}

let damaged = []; // pictures of which something may be left

function complain(text, some = []) {
  damaged = some;
  $("message").textContent = text;
  $("keep").hidden = some.length === 0;
  $("trouble").hidden = false;
}

// ---- buttons and keys ----

let saving = false;

async function save() {
  const picture = left;
  if ($("save").disabled) return;
  saving = true;
  $("save").textContent = "Saving…";
  update();
  try {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(await picture.png());
    link.download = `${picture.name.replace(/\.calo$/i, "")}.png`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  } catch (error) {
    complain(`${picture.name}: ${error.message}`);
  }
  saving = false;
  $("save").textContent = "Save PNG";
  update();
}

function toggle(name) {
  const pressed = $(name).getAttribute("aria-pressed") !== "true";
  $(name).setAttribute("aria-pressed", pressed);
  if (name === "facts") $("panel").hidden = !pressed;
  else stage.overlays[name] = pressed;
  update();
}

const actions = {
  open: () => $("files").click(),
  open2: () => $("files").click(),
  swap: () => right && show(right, left),
  in: () => stage.zoom(1.5),
  out: () => stage.zoom(1 / 1.5),
  zoom: () => stage.toggle(),
  save,
  encode,
  blindly: () => blind.possible && blind.open(),
  jpeg: () => compare("JPEG"),
  webp: () => compare("WebP"),
  avif: () => compare("AVIF"),
  tiles: () => toggle("tiles"),
  bits: () => $("bits").hidden || toggle("bits"),
  facts: () => toggle("facts"),
  dismiss: () => ($("trouble").hidden = true),
  keep: () => {
    $("trouble").hidden = true;
    for (const picture of damaged) {
      picture.told = false;
      picture.load(true);
    }
    update();
  },
};
for (const [id, action] of Object.entries(actions)) $(id).addEventListener("click", action);

const STEP = 80;
const keys = {
  "+": actions.in, "=": actions.in, "-": actions.out, 0: () => stage.fit(), 1: () => stage.zoomTo(1), o: actions.open,
  x: actions.swap, t: actions.tiles, b: actions.bits, i: actions.facts, s: save, e: encode, c: actions.blindly, Escape: actions.dismiss,
  ArrowLeft: () => stage.pan(-STEP, 0), ArrowRight: () => stage.pan(STEP, 0), ArrowUp: () => stage.pan(0, -STEP),
  ArrowDown: () => stage.pan(0, STEP), ",": () => (stage.split -= 0.02), ".": () => (stage.split += 0.02),
};
document.addEventListener("keydown", (event) => {
  if (blind.shown) return blind.key(event);
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("select, #panel")) return;
  if (event.target.closest("input") && /^(Arrow|Page|Home|End)/.test(event.key)) return; // they move its thumb
  if ((!left && event.key !== "o") || !Object.hasOwn(keys, event.key)) return;
  event.preventDefault();
  keys[event.key]();
});

$("files").addEventListener("change", () => {
  open([...$("files").files]);
  $("files").value = "";
});
$("left").addEventListener("change", () => show(chosen($("left")), right));
$("right").addEventListener("change", () => show(left, chosen($("right"))));

// ---- dropped files ----

for (const name of ["dragenter", "dragover"])
  addEventListener(name, (event) => {
    event.preventDefault();
    document.body.classList.add("dropping");
  });
addEventListener("dragleave", (event) => event.relatedTarget || document.body.classList.remove("dropping"));
addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("dropping");
  const box = $("view").getBoundingClientRect();
  open([...event.dataTransfer.files], event.clientX > box.left + box.width / 2 ? "right" : "left");
});

// ---- files that the address names: ?src=photo.calo&src=photo.jpg, from this page's own origin ----

const wanted = new URLSearchParams(location.search).getAll("src");
const own = wanted.map(address).filter((url) => url?.origin === location.origin);
if (own.length < wanted.length) complain("The address names files of other pages: open them from there, or save and drop them here.");
open(own.map((url) => url.href));

function address(source) {
  try {
    return new URL(source, location.href);
  } catch {
    return null; // such as "http://"
  }
}

// ---- photographs that may lie beside this page, to choose on blindly ----

async function offerOurs() {
  const answer = await fetch("photos/photos.json").catch(() => null);
  if (!answer?.ok || !/json/.test(answer.headers.get("content-type"))) return;
  const { credit, files } = await answer.json();
  const some = files.map((file) => new Picture(new URL(`photos/${file}`, location.href).href, file.replace(/\.\w+$/, ""), pool, () => {}));
  $("oursblindly").addEventListener("click", () => blind.open({ pictures: some, credit }));
  $("ours").hidden = false;
}
offerOurs();

// `calotype view` serves this page as long as it hears of it.
if (new URLSearchParams(location.search).has("alive")) new EventSource("alive");
