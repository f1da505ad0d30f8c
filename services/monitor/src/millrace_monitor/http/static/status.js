// Draws each chart from its table, and keeps the page fresh: on every alert, and every five seconds.
"use strict";

const COLOURS = ["--one", "--two", "--three", "--four"];
const DASHES = [[], [6, 3], [2, 3], [8, 3, 2, 3]];

function ink(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function draw(place) {
  const rows = [...document.getElementById(place.dataset.of).tBodies[0].rows];
  const starts = [...new Set(rows.map((row) => Number(row.dataset.start)))];
  if (!starts.length) return;
  const versions = [...new Set(rows.map((row) => row.dataset.version))];
  const at = new Map(starts.map((start, index) => [start, index]));
  const lines = versions.map(() => new Array(starts.length).fill(null));
  for (const row of rows) {
    lines[versions.indexOf(row.dataset.version)][at.get(Number(row.dataset.start))] = Number(row.dataset.accuracy);
  }
  const axis = { stroke: ink("--soft"), grid: { stroke: ink("--line") }, ticks: { stroke: ink("--line") } };
  const series = versions.map((version, index) => ({
    label: "version " + version,
    stroke: ink(COLOURS[index % COLOURS.length]),
    dash: DASHES[index % DASHES.length],
    width: 2,
    spanGaps: true,
    value: (_, share) => (share === null ? "" : (100 * share).toFixed(1) + " %"),
  }));
  const options = {
    width: place.clientWidth,
    height: 240,
    tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "UTC"),
    scales: { y: { range: [0, 1] } },
    axes: [axis, { ...axis, values: (_, ticks) => ticks.map((share) => Math.round(100 * share) + " %") }],
    series: [{}, ...series],
  };
  place.replaceChildren();
  new uPlot(options, [starts.map((start) => start / 1e6), ...lines], place);
}

function drawAll() {
  document.querySelectorAll(".chart").forEach(draw);
}

let busy = false;
async function refresh() {
  if (busy || document.hidden) return;
  busy = true;
  try {
    const answer = await fetch("./", { cache: "no-store" });
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("main");
    const open = [...document.querySelectorAll("details")].map((one) => one.open);
    document.querySelector("main").replaceWith(fresh);
    document.querySelectorAll("details").forEach((one, index) => { if (index < open.length) one.open = open[index]; });
    document.getElementById("live").textContent = "live, as of " + fresh.dataset.at + " UTC";
    drawAll();
  } catch (error) {
    document.getElementById("live").textContent = "the monitor does not answer; trying again";
  } finally {
    busy = false;
  }
}

drawAll();
const last = Number(document.querySelector("main").dataset.alerts) - 1;
new EventSource("v1/alerts/stream?after=" + last).addEventListener("alert", refresh);
setInterval(refresh, 5000);
addEventListener("resize", drawAll);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
