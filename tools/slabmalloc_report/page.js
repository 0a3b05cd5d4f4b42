"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const SVG = "http://www.w3.org/2000/svg";

function human(bytes) {
	let unit = 0;
	for (; bytes >= 1023.95 && unit < 4; unit++)
		bytes /= 1024;
	return bytes.toFixed(unit && bytes < 99.95 ? 1 : 0) + " " + ["B", "KiB", "MiB", "GiB", "TiB"][unit];
}

/* A line where the pointer is, and the numbers there below the picture. */
function follow(svg, chart) {
	const said = svg.parentNode.querySelector(".said");
	const left = Number(svg.dataset.left), right = Number(svg.dataset.right);
	const first = chart.x[0], last = chart.x[chart.x.length - 1];
	const line = svg.appendChild(document.createElementNS(SVG, "line"));

	line.setAttribute("class", "cursor");
	line.setAttribute("visibility", "hidden");
	line.setAttribute("y1", 12);
	line.setAttribute("y2", svg.viewBox.baseVal.height - 34);
	svg.addEventListener("pointermove", (event) => {
		const box = svg.getBoundingClientRect();
		const x = (event.clientX - box.left) / box.width * svg.viewBox.baseVal.width;
		const value = first + (x - left) / (right - left) * (last - first);
		let near = 0;
		chart.x.forEach((at, i) => {
			if (Math.abs(at - value) < Math.abs(chart.x[near] - value))
				near = i;
		});
		const place = last > first ? left + (chart.x[near] - first) / (last - first) * (right - left) : left;
		line.setAttribute("x1", place);
		line.setAttribute("x2", place);
		line.setAttribute("visibility", "visible");
		said.textContent = chart.x[near].toFixed(2) + chart.unit + ": " + Object.entries(chart.by)
			.filter(([, values]) => values[near] !== null)
			.map(([name, values]) => name + " " + human(values[near])).join(", ");
	});
	svg.addEventListener("pointerleave", () => {
		line.setAttribute("visibility", "hidden");
		said.textContent = "";
	});
}

const charts = {};
if (data.series) {
	const unit = data.series.timed ? " s" : "";
	charts.lines = { x: data.series.x, by: data.series.lines, unit };
	charts.layers = { x: data.series.x, by: data.series.layers, unit };
}
if (data.asked)
	charts.asked = { x: data.asked.x, by: data.asked.lines, unit: " s" };
for (const svg of document.querySelectorAll("svg[data-chart]"))
	follow(svg, charts[svg.dataset.chart]);

/* A click on a function of a flame graph makes it as wide as the picture; what it is not in goes. */
for (const svg of document.querySelectorAll("svg.flame")) {
	const width = svg.viewBox.baseVal.width;
	const boxes = [...svg.querySelectorAll("g")].map((g) => {
		const rect = g.querySelector("rect"), text = g.querySelector("text");
		return { g, rect, text, x: Number(rect.getAttribute("x")), w: Number(rect.getAttribute("width")),
			y: Number(rect.getAttribute("y")) };
	});
	for (const chosen of boxes)
		chosen.g.addEventListener("click", () => {
			const scale = width / chosen.w;
			for (const b of boxes) {
				const below = b.y >= chosen.y;
				const inside = b.x < chosen.x + chosen.w - 0.01 && b.x + b.w > chosen.x + 0.01;
				const x = below ? 0 : (b.x - chosen.x) * scale, w = below ? width : b.w * scale;
				const letters = Math.floor((w - 6) / 6.7), name = b.g.dataset.name;

				b.g.style.display = inside ? "" : "none";
				b.rect.setAttribute("x", x);
				b.rect.setAttribute("width", w);
				b.text.setAttribute("x", x + 3);
				b.text.textContent = letters < 3 ? "" : name.length <= letters ? name :
					name.slice(0, letters - 2) + "…";
			}
		});
}

/* Paper has no hidden parts. */
window.addEventListener("beforeprint", () => {
	for (const part of document.querySelectorAll("details"))
		part.open = true;
});
