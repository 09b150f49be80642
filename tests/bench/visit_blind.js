// Visits a page of blind choices with elements that only remember what they are given: votes at the rate 0.5
// for the first codec and elsewhere for none, and prints what the page told.
const fs = require("fs"), text = fs.readFileSync(process.argv[2], "utf8");
const element = () => ({
  style: {}, dataset: {}, children: [], parentElement: {}, hidden: false,
  appendChild(child) { this.children.push(child); return child; },
  replaceChildren(...children) { this.children = children; },
  setAttribute() {}, focus() {},
});
const page = {}, get = id => page[id] ||= element();
get("data").textContent = /id="data">(.*?)<\/script>/s.exec(text)[1];
const D = JSON.parse(get("data").textContent);
globalThis.document = {getElementById: get, createElement: element};
globalThis.window = globalThis;
const script = /<script type="module">(.*?)<\/script>/s.exec(text)[1];
import(`data:text/javascript,${encodeURIComponent(script)}`).then(() => {
  const shown = [];
  while (!get("voting").hidden) {
    const pair = D.pairs.find(p => ["a", "b"].every(id => p.sides.some(side => side.src === get(id).src)));
    shown.push(D.originals[pair.image] === get("original").src);
    if (pair.wanted === 0.5) {
      const side = get("a").src === pair.sides[0].src ? "a" : "b";
      get(`vote-${side}`).onclick();
    } else {
      document.onkeydown({key: "S", preventDefault() {}});
    }
  }
  const rows = get("votes").children.map(row => row.children.map(cell => cell.textContent));
  console.log(JSON.stringify({shown, rows, hidden: get("result").hidden, chance: get("chance").textContent}));
});
