// Visits a page of blind choices with elements that only remember what they are given: votes at the rate 0.5
// for the first codec and elsewhere for none, and prints what the page told.
const fs = require("fs"), text = fs.readFileSync(process.argv[2], "utf8");
const element = () => ({
  style: {}, dataset: {}, children: [],
  appendChild(child) { this.children.push(child); return child; },
});
const page = {}, get = id => page[id] ||= element();
get("data").textContent = /id="data">(.*?)<\/script>/s.exec(text)[1];
const buttons = ["a", "same", "b"].map(vote => ({dataset: {vote}}));
globalThis.document = {getElementById: get, querySelectorAll: () => buttons, createElement: element, addEventListener: () => {}};
globalThis.window = globalThis;
(0, eval)(/<script>\n"use strict";(.*?)<\/script>/s.exec(text)[1] + "; globalThis.D = D;");
const shown = [];
while (!get("voting").hidden) {
  const pair = D.pairs.find(p => ["a", "b"].every(id => p.sides.some(side => side.src === get(id).src)));
  shown.push(D.originals[pair.image] === get("original").src);
  if (pair.wanted === 0.5) {
    const side = get("a").src === pair.sides[0].src ? "a" : "b";
    buttons.find(button => button.dataset.vote === side).onclick();
  } else {
    document.onkeydown({key: "S"});
  }
}
const rows = get("votes").children.map(row => row.children.map(cell => cell.textContent));
console.log(JSON.stringify({shown, rows, hidden: get("result").hidden, chance: get("chance").textContent}));
