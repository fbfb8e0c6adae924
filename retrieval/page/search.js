"use strict";
// The page's state is its address, so that every query has a permalink. Names are set as text, never as HTML.
const $ = (id) => document.getElementById(id);
const FIELDS = ["text", "minus", "folder", "shortest", "longest"];
const player = new Audio();
let about = {}, like = "", likeName = "", shown = 0, playing = null, until = null, asked = 0;

function clock(seconds) {
  const whole = Math.floor(seconds), minutes = Math.floor(whole / 60);
  return minutes ? `${minutes}:${String(whole % 60).padStart(2, "0")}` : `${seconds.toFixed(1)} s`;
}

function query() {
  const found = new URLSearchParams();
  for (const name of FIELDS) if ($(name).value.trim()) found.set(name, $(name).value.trim());
  if (like) {
    found.set("like", like);
    if (likeName !== like) found.set("name", likeName);
    if ($("weight").value !== "0.5") found.set("weight", $("weight").value);
  }
  return found;
}

function restore() {
  const given = new URLSearchParams(location.search);
  for (const name of FIELDS) $(name).value = given.get(name) || "";
  $("weight").value = given.get("weight") || "0.5";
  setExample(given.get("like") || "", given.get("name") || given.get("like") || "");
  if (["minus", "folder", "shortest", "longest"].some((name) => given.get(name))) $("more").open = true;
  search(false);
}

function setExample(id, name) {
  [like, likeName] = [id, name];
  $("example").hidden = !id;
  $("example-name").textContent = name;
}

function say(text, wrong = false) {
  $("note").textContent = text;
  $("note").classList.toggle("wrong", wrong);
}

async function ask(address, options) {
  const response = await fetch(address, options);
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error);
  return answer;
}

async function search(remember = true) {
  const wanted = query(), number = ++asked;
  $("weigh").hidden = !wanted.get("text");
  if (remember) history.pushState(null, "", wanted.size ? `?${wanted}` : location.pathname);
  document.title = wanted.get("text") || likeName || "Search recordings";
  $("captions").hidden = Boolean(wanted.size);
  if (!wanted.get("text") && !like) {
    $("hits").replaceChildren();
    $("next").hidden = true;
    return say(wanted.size ? "Say in words what you want to hear, or choose an example." : "");
  }
  try {
    const answer = await ask(`search?${wanted}`);
    if (number !== asked) return;  // a later query has been asked
    stop();
    $("hits").replaceChildren();
    shown = 0;
    show(answer);
  } catch (error) {
    if (number !== asked) return;
    $("hits").replaceChildren();
    $("next").hidden = true;
    say(error.message || "The search does not answer; is it still running?", true);
  }
}

function show(answer) {
  for (const hit of answer.hits) $("hits").append(card(hit));
  shown += answer.hits.length;
  $("next").hidden = shown >= answer.total || !answer.hits.length;
  say(answer.total ? `${shown.toLocaleString()} of ${answer.total.toLocaleString()} recordings · ` : "No recording passes the filters.");
  if (!answer.total) return;
  const link = document.createElement("a");
  link.href = `ranking.csv?${query()}`;
  link.download = "ranking.csv";
  link.textContent = "ranking as csv";
  $("note").append(link, ` · ${(1000 * answer.seconds).toFixed(0)} ms`);
}

function card(hit) {
  const item = $("hit").content.firstElementChild.cloneNode(true), part = (name) => item.querySelector(name);
  const name = encodeURIComponent(hit.name);
  part(".rank").textContent = hit.rank;
  part(".name").textContent = hit.name;
  part(".similarity b").textContent = hit.similarity.toFixed(3);
  part(".bar i").style.width = `${100 * Math.min(Math.max(hit.similarity, 0), 1)}%`;
  part(".time").textContent = hit.seconds === null ? "" : clock(hit.seconds);
  part(".play").setAttribute("aria-label", `Play ${hit.name}`);
  part(".like").setAttribute("aria-label", `More like ${hit.name}`);
  part(".like").hidden = !about.examples;
  part(".like").onclick = () => { setExample(hit.name, hit.name); $("text").value = ""; search(); scrollTo(0, 0); };
  if (!hit.here) {
    item.classList.add("gone");
    part(".time").textContent += " the file is not here";
    return item;
  }
  part("img").src = `spectrogram?name=${name}`;
  part(".play").onclick = () => (playing === item && !player.paused ? player.pause() : play(item, name));
  part(".picture").onclick = (event) => {
    const box = part(".picture").getBoundingClientRect();
    if (hit.seconds) play(item, name, hit.seconds * (event.clientX - box.left) / box.width);
  };
  if (hit.start !== null && hit.seconds) {
    const end = Math.min(hit.end, hit.seconds);
    part(".window").hidden = false;
    part(".window").style.left = `${100 * hit.start / hit.seconds}%`;
    part(".window").style.width = `${100 * (end - hit.start) / hit.seconds}%`;
    part(".jump").hidden = false;
    part(".jump").textContent = `Best part: ${clock(hit.start)} – ${clock(end)}`;
    part(".jump").onclick = () => play(item, name, hit.start, end);
  }
  item.seconds = hit.seconds;
  return item;
}

// From a second on, and up to one where it is given; playing again continues after it.
function play(item, name, at = null, end = null) {
  if (playing !== item) {
    stop();
    playing = item;
    player.src = `audio?name=${name}`;
  }
  if (at !== null) player.currentTime = at;
  until = end;
  item.classList.add("playing");
  player.play().catch((error) => { if (error.name !== "AbortError") say("This browser cannot play the recording.", true); });
}

function stop() {
  player.pause();
  if (playing) playing.classList.remove("playing");
  if (playing) mark();
  playing = null;
}

function mark() {
  if (!playing) return;
  const length = playing.seconds || player.duration || 1;
  playing.querySelector(".head").style.left = `${100 * Math.min(player.currentTime / length, 1)}%`;
  playing.querySelector(".play").textContent = player.paused ? "▶" : "❚❚";
  playing.querySelector(".time").textContent = player.paused ? clock(length) : `${clock(player.currentTime)} / ${clock(length)}`;
}
for (const event of ["timeupdate", "play", "pause", "ended"]) player.addEventListener(event, mark);
player.addEventListener("timeupdate", () => {
  if (until === null || player.currentTime < until) return;
  until = null;
  player.pause();
});

async function addExample(file) {
  say(`Listening to ${file.name} …`);
  try {
    const answer = await ask(`example?name=${encodeURIComponent(file.name)}`, {method: "POST", body: file});
    setExample(answer.like, answer.name);
    search();
  } catch (error) {
    say(`${file.name}: ${error.message || "cannot be sent"}`, true);
  }
  $("file").value = "";
}

$("form").onsubmit = (event) => { event.preventDefault(); search(); };
for (const name of ["folder", "weight", "shortest", "longest", "minus"]) $(name).onchange = () => search();
$("example-remove").onclick = () => { setExample("", ""); search(); $("text").focus(); };
$("file").onchange = () => $("file").files[0] && addExample($("file").files[0]);
$("next").onclick = async () => {
  const number = asked;
  try {
    const answer = await ask(`search?${query()}&offset=${shown}`);
    if (number === asked) show(answer);
  } catch (error) { say(error.message, true); }
};
addEventListener("popstate", restore);
addEventListener("dragover", (event) => { event.preventDefault(); document.body.classList.add("dropping"); });
addEventListener("dragleave", (event) => { if (!event.relatedTarget) document.body.classList.remove("dropping"); });
addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("dropping");
  if (event.dataTransfer.files[0] && about.examples) addExample(event.dataTransfer.files[0]);
});
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const field = event.target.closest("input, select, textarea"), item = event.target.closest("#hits li");
  if (event.key === "/" && !field) { event.preventDefault(); return $("text").focus(); }
  if (event.key === "Escape" && field) return field.blur();
  if (["ArrowDown", "ArrowUp"].includes(event.key) && (!field || field === $("text"))) {
    const all = [...$("hits").children], at = all.indexOf(item) + (event.key === "ArrowDown" ? 1 : -1);
    if (!all.length) return;
    event.preventDefault();
    return at < 0 ? $("text").focus() : all[Math.min(at, all.length - 1)].focus();
  }
  if (event.target !== item) return;
  if (event.key === " " || event.key === "Enter") { event.preventDefault(); item.querySelector(".play").click(); }
  if (event.key === "m") item.querySelector(".like").click();
});

(async () => {
  about = await ask("about");
  const windows = about.windows > about.recordings ? `, ${about.windows.toLocaleString()} windows of at most ${about.window} s` : "";
  const hours = about.hours >= 0.1 ? ` (${about.hours.toFixed(1)} hours)` : "";
  $("about").textContent = `${about.recordings.toLocaleString()} recordings${hours}${windows}, in ${about.source}, ranked by ${about.model}`;
  for (const folder of about.folders) $("folder").add(new Option(folder, folder));
  $("folder").parentElement.hidden = !about.folders.length;
  $("drop").hidden = !about.examples;
  for (const caption of about.captions) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = caption;
    button.onclick = () => { $("text").value = caption; search(); };
    $("captions").append(button);
  }
  restore();
})();
