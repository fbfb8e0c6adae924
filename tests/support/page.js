// Runs the search page's script without a browser: elements, a player and a server that stand in.
// node page.js SEARCH_JS HITS: prints what a click on the first hit's best part does, as JSON.
"use strict";
const fs = require("fs"), vm = require("vm");

class Element {
  constructor() {
    Object.assign(this, {children: [], parts: {}, style: {}, hidden: false, value: "", textContent: ""});
    this.classList = {add() {}, remove() {}, toggle() {}};
  }
  querySelector(name) { return this.parts[name] ??= new Element(); }
  append(...more) { this.children.push(...more); }
  replaceChildren() { this.children = []; }
  cloneNode() { return new Element(); }
  get content() { return {firstElementChild: this}; }
  get parentElement() { return this.parent ??= new Element(); }
  getBoundingClientRect() { return {left: 0, width: 100}; }
  setAttribute() {}
  focus() {}
  add() {}
}

let player;
class Audio {
  constructor() { Object.assign(this, {paused: true, currentTime: 0, listeners: {}}); player = this; }
  addEventListener(name, listener) { (this.listeners[name] ??= []).push(listener); }
  at(seconds) { this.currentTime = seconds; for (const listener of this.listeners.timeupdate) listener(); }
  play() { this.paused = false; return Promise.resolve(); }
  pause() { this.paused = true; }
}

const hits = JSON.parse(process.argv[3]), byId = {};
const about = {recordings: 2, windows: 9, window: 10, hours: 0, folders: [], captions: [], examples: true, source: "a", model: "b"};
const answers = {about, search: {hits, total: hits.length, seconds: 0.01}};
const page = {
  document: {getElementById: (id) => byId[id] ??= new Element(), createElement: () => new Element(), body: new Element()},
  location: {search: "?text=dog", pathname: "/"}, history: {pushState() {}}, addEventListener() {}, scrollTo() {},
  fetch: async (address) => ({ok: true, json: async () => answers[address.split("?")[0]]}),
  Audio, URLSearchParams, Option: Element, console,
};
vm.runInNewContext(fs.readFileSync(process.argv[2], "utf8"), page);

setTimeout(() => {
  const [first, second] = byId.hits.children, seen = {};
  seen.jump = first.parts[".jump"].textContent;
  seen.frame = first.parts[".window"].style;
  seen.secondHasNone = second.parts[".jump"] === undefined;
  first.parts[".jump"].onclick();
  seen.source = player.src;
  seen.from = player.currentTime;
  player.at(hits[0].end - 0.1);
  seen.pausedBefore = player.paused;
  player.at(hits[0].end + 0.1);
  seen.pausedAtEnd = player.paused;
  first.parts[".play"].onclick();
  player.at(hits[0].end + 5);
  seen.pausedAfter = player.paused;
  console.log(JSON.stringify(seen));
}, 50);
