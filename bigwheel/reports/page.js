"use strict";
(() => {
  const element = (id) => document.getElementById(id);
  const charts = JSON.parse(element("charts").textContent);
  const narrow = () => window.innerWidth < 560;
  const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  // The drawing library is in the page, compressed: unpacked here, it comes from nowhere else.
  async function unpack() {
    const packed = Uint8Array.from(atob(element("library").textContent), (letter) => letter.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    const script = document.createElement("script");
    script.textContent = await new Response(stream).text();
    document.head.append(script);
  }

  function dressed(layout) {
    const grid = { gridcolor: style("--grid"), zerolinecolor: style("--line"), linecolor: style("--line"), automargin: true };
    const done = { ...layout, autosize: true };
    done.font = { family: getComputedStyle(document.body).fontFamily, color: style("--quiet"), size: narrow() ? 11 : 12 };
    done.hoverlabel = { bgcolor: style("--card"), bordercolor: style("--line"), font: { color: style("--text") } };
    done.modebar = { bgcolor: "rgba(0,0,0,0)", color: style("--line"), activecolor: style("--quiet") };
    for (const name of ["xaxis", "yaxis", "yaxis2", "yaxis3"]) {
      if (layout[name]) done[name] = { ...layout[name], ...grid };
    }
    if (narrow()) done.margin = { ...layout.margin, l: 46, r: 6 };
    return done;
  }

  function draw(id, chart) {
    const buttons = [["zoom2d", "pan2d", "resetScale2d", "toImage"]];
    const options = { responsive: true, displaylogo: false, displayModeBar: !narrow(), modeBarButtons: buttons };
    window.Plotly.react(element(id), chart.data, dressed(chart.layout), options);
  }

  function drawAll() {
    for (const id of ["account", "costs", "sweep"]) if (charts[id]) draw(id, charts[id]);
    if (charts.prices) draw("prices", charts.prices[element("symbol").selectedIndex]);
  }

  unpack().then(() => {
    drawAll();
    if (charts.prices) element("symbol").addEventListener("change", drawAll);
    window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  }).catch((error) => {
    for (const chart of document.querySelectorAll(".chart")) {
      chart.textContent = `The chart can't be drawn: expected a browser of 2023 or later, found ${error}. The tables are complete.`;
    }
  });
})();
