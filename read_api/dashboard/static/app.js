// What the pages need beyond htmx: the filters' small conveniences, and charts drawn from the page's own data.
"use strict";

(() => {
  document.documentElement.classList.add("js");

  document.addEventListener("click", (event) => {
    const toggle = event.target.closest(".menu-toggle");
    if (toggle) {
      const isOpen = document.getElementById("menu").classList.toggle("is-open");
      toggle.setAttribute("aria-expanded", String(isOpen));
    }
    const remove = event.target.closest("[data-remove]");
    if (remove) {
      remove.closest(remove.dataset.remove).remove();
    }
    const copy = event.target.closest("[data-copy]");
    if (copy) {
      copied(document.getElementById(copy.dataset.copy)).then((isDone) => {
        copy.querySelector(".copy-word").textContent = isDone ? "Copied" : "Press Ctrl+C";
      });
    }
  });

  document.addEventListener("keydown", (event) => {
    const picker = event.key === "Escape" && event.target.closest?.("[data-stays-open][open]");
    if (picker) {
      picker.open = false;
      picker.querySelector("summary").focus();
    }
    const menu = document.getElementById("menu");
    if (event.key === "Escape" && menu?.classList.contains("is-open")) {
      menu.classList.remove("is-open");
      const toggle = document.querySelector(".menu-toggle");
      toggle.setAttribute("aria-expanded", "false");
      toggle.focus();
    }
  });

  // What names a row stays in its place: an edge shows where the other columns go under it.
  document.addEventListener(
    "scroll",
    (event) => {
      if (event.target.matches?.(".scroll")) {
        event.target.classList.toggle("is-moved", event.target.scrollLeft > 0);
      }
    },
    true,
  );

  // Whether the text is in the clipboard. It is selected, too: a page without https may not write there.
  function copied(element) {
    getSelection().selectAllChildren(element);
    const written = navigator.clipboard?.writeText(element.textContent) ?? Promise.reject();
    return written.then(() => true, () => document.execCommand("copy"));
  }

  // Before htmx sends the form: another project is another address.
  document.addEventListener(
    "change",
    (event) => {
      if (event.target.matches("[data-go]")) {
        event.stopImmediatePropagation();
        window.location.assign(event.target.value);
      }
    },
    true,
  );

  // A choice swaps the page, and what was opened to choose from is still open on the next one.
  let opened = [];
  document.addEventListener("htmx:before:swap", () => {
    const chosen = document.activeElement?.value;
    opened = [...document.querySelectorAll("[data-stays-open][open]")].map((each) => [each.id, each.querySelector("fieldset").scrollTop, chosen]);
  });
  document.addEventListener("htmx:after:swap", () => {
    for (const [id, scrolled, chosen] of opened.splice(0)) {
      const found = document.getElementById(id);
      if (found) {
        found.open = true;
        [...found.querySelectorAll("input")].find((each) => each.value === chosen)?.focus({ preventScroll: true });
        found.querySelector("fieldset").scrollTop = scrolled;
      }
    }
  });
  // What lies over the page closes by Escape and by a click beside it.
  const closed = (but) => {
    for (const each of document.querySelectorAll("[data-stays-open][open]")) {
      if (!but || !each.contains(but)) {
        each.open = false;
      }
    }
  };
  document.addEventListener("click", (event) => event.target.isConnected && closed(event.target));

  // What asks by itself: a paused or hidden page asks for nothing.
  document.addEventListener("htmx:before:request", (event) => {
    const isPolled = event.target.matches?.("[data-polled]");
    if (isPolled && (document.hidden || document.getElementById("pause")?.checked)) {
      event.preventDefault();
    }
  });

  // A file is sent as it is, and the page that answers takes the place of this one.
  const mostFileBytes = 1024 * 1024;
  document.addEventListener("submit", async (event) => {
    const form = event.target.closest("[data-upload]");
    if (!form) {
      return;
    }
    event.preventDefault();
    const file = form.elements.file.files[0];
    const tooLarge = form.querySelector("[role=alert]");
    tooLarge.hidden = file.size <= mostFileBytes;
    if (!tooLarge.hidden) {
      return;
    }
    const button = form.querySelector("[type=submit]");
    button.disabled = true;
    try {
      const query = new URLSearchParams({ currencies: form.elements.currencies.value, since: form.elements.since.value });
      const answer = await fetch(`${form.action}?${query}`, { method: "POST", body: file, headers: { "Funnelhouse-Token": form.dataset.upload } });
      if (answer.redirected) {
        window.location.assign(answer.url);
        return;
      }
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      document.getElementById("main").replaceWith(page.getElementById("main"));
      document.getElementById("problems")?.focus();
    } finally {
      button.disabled = false;
    }
  });

  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const charts = new Map();

  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const palette = () => [1, 2, 3, 4, 5, 6, 7, 8].map((number) => color(`--c${number}`));
  const written = (value, digits = 0) =>
    value === null || value === undefined
      ? "–"
      : value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
  // As in tables: `5.3%`, `$1,234.50`, `EUR 1,234.50`, `12 conversions`.
  const inUnit = (value, spec) => {
    if (value === null || value === undefined) {
      return "–";
    }
    const unit = spec.unit === "%" || !spec.unit ? spec.unit ?? "" : ` ${spec.unit}`;
    const [before, sign] = [spec.before ?? "", value < 0 ? "−" : ""];
    // A code is a word of its own, a symbol belongs to the number.
    return `${/\s$/.test(before) ? before + sign : sign + before}${written(Math.abs(value), spec.digits ?? 0)}${unit}`;
  };
  const short = (value) =>
    Math.abs(value) < 10000
      ? value.toLocaleString("en", { maximumFractionDigits: 2 })
      : value.toLocaleString("en", { notation: "compact", maximumFractionDigits: 1 });

  const inEnglish = (day, parts) => new Date(`${day}T00:00Z`).toLocaleDateString("en-US", { ...parts, timeZone: "UTC" });
  // Of a bin by its name: `2026-05-02 14:00`, `2026-05-02` or `2026-05`.
  const shortTimes = {
    hour: (name) => name.slice(11),
    day: (name) => inEnglish(name, { day: "numeric", month: "short" }),
    week: (name) => shortTimes.day(name),
    month: (name) => inEnglish(`${name}-01`, { month: "short", year: "numeric" }),
  };
  const longTimes = {
    hour: (name) => `${longTimes.day(name.slice(0, 10))}, ${name.slice(11)}`,
    day: (name) => inEnglish(name, { day: "numeric", month: "short", year: "numeric" }),
    week: (name) => `Week of ${longTimes.day(name)}`,
    month: shortTimes.month,
  };

  // The last bin of a range may go on: the way to it is dashed, and the rest of the line drawn by itself.
  const upTo = (values, end) => values.map((value, index) => (index < end ? value : null));
  const from = (values, begin) => values.map((value, index) => (index < begin ? null : value));

  function frame(spec) {
    const text = { color: color("--ink-2"), fontFamily: getComputedStyle(document.body).fontFamily, fontSize: 12 };
    const axis = {
      axisLine: { lineStyle: { color: color("--line-strong") } },
      axisTick: { show: false },
      axisLabel: { color: color("--ink-3"), hideOverlap: true },
      splitLine: { lineStyle: { color: color("--line") } },
    };
    const option = {
      animation: false,
      color: palette(),
      textStyle: text,
      grid: { left: 8, right: 16, top: spec.legend === false ? 16 : 36, bottom: 8, containLabel: true },
      tooltip: {
        // Drawn on the canvas: the policy for content forbids the styles that one made of HTML would need.
        renderMode: "richText",
        confine: true,
        backgroundColor: color("--surface"),
        borderColor: color("--line-strong"),
        textStyle: { ...text, color: color("--ink") },
      },
      legend: { show: spec.legend !== false, left: 0, top: 0, type: "scroll", icon: "roundRect", itemWidth: 12, itemHeight: 8, textStyle: text, pageTextStyle: text, pageIconColor: color("--ink-2"), pageIconInactiveColor: color("--line-strong") },
    };
    return { option, axis, text };
  }

  // What the tooltip says of one point: the compared days have names of their own.
  function pointLine(point, spec) {
    const series = spec.series.find((each) => each.name === point.seriesName);
    const name = series?.compared ? series.names[point.dataIndex] : point.seriesName;
    return `${name}  ${inUnit(point.value, spec)}`;
  }

  // One or several series over categories: days, sources, models.
  function overCategories(spec, kind, chartWidth) {
    const { option, axis } = frame(spec);
    const names = { type: "category", data: spec.categories, ...axis, boundaryGap: kind === "bar" };
    if (spec.bins) {
      names.axisLabel = { ...axis.axisLabel, alignMinLabel: "left", alignMaxLabel: "right", formatter: shortTimes[spec.bins] };
    }
    const last = spec.categories.length - 1;
    const isDashed = Boolean(spec.unfinished) && last > 0;
    const values = {
      type: "value",
      ...axis,
      axisLine: { show: false },
      axisLabel: { ...axis.axisLabel, formatter: short },
      minInterval: spec.whole ? 1 : 0,
    };
    if (spec.horizontal) {
      names.inverse = true;
      const left = chartWidth < 480 ? 104 : 150;
      names.axisLabel = { ...axis.axisLabel, color: color("--ink-2"), interval: 0, width: left - 12, overflow: "truncate" };
      option.grid = { ...option.grid, left, bottom: 28, containLabel: false };
    }
    return {
      ...option,
      tooltip: {
        ...option.tooltip,
        trigger: "axis",
        axisPointer: { type: kind === "bar" ? "shadow" : "line", shadowStyle: { color: color("--ink-3"), opacity: 0.08 } },
        formatter: (points) =>
          [
            (spec.bins ? longTimes[spec.bins](points[0].name) : points[0].axisValueLabel) + (spec.unfinished && points[0].dataIndex === last ? " (so far)" : ""),
            ...points.filter((point, index) => point.value != null && points.findIndex((each) => each.seriesName === point.seriesName && each.value != null) === index).map((point) => pointLine(point, spec)),
          ].join("\n"),
      },
      xAxis: spec.horizontal ? values : names,
      yAxis: spec.horizontal ? names : values,
      series: spec.series.flatMap((series, index) => {
        const isCompared = Boolean(series.compared);
        const line = {
          name: series.name,
          type: kind,
          data: isDashed && !isCompared ? upTo(series.values, last) : series.values,
          barMaxWidth: spec.horizontal ? 14 : 36,
          showSymbol: spec.categories.length < 2,
          symbolSize: 6,
          lineStyle: isCompared ? { width: 1.5, type: [5, 4] } : { width: 2 },
          areaStyle: kind === "line" && spec.series.filter((each) => !each.compared).length === 1 && !isCompared ? { opacity: 0.1 } : undefined,
          itemStyle: { color: isCompared ? color("--ink-3") : palette()[index % 8], borderRadius: kind === "bar" ? 2 : 0 },
          z: isCompared ? 1 : 2,
        };
        const end = { ...line, data: from(series.values, last - 1), lineStyle: { width: 2, type: "dashed" }, areaStyle: undefined };
        return isDashed && !isCompared ? [line, end] : [line];
      }),
    };
  }

  function waterfall(spec, chartWidth) {
    const { option, axis, text } = frame(spec);
    const last = spec.bars.length - 1;
    const role = ([from, to], index) => color(index === last ? "--c1" : to >= from ? "--up" : "--down");
    // Where bars are closer than their names are wide, names lie aslant.
    const room = (chartWidth - 64) / spec.categories.length;
    const names = room < 72 ? { rotate: 40, width: 96, overflow: "truncate" } : { width: Math.min(room - 8, 110), lineHeight: 15, overflow: "break" };
    return {
      ...option,
      grid: { ...option.grid, top: 24, bottom: 24 },
      tooltip: {
        ...option.tooltip,
        formatter: (point) => {
          const [from, to] = spec.bars[point.dataIndex];
          return `${point.name}\n${inUnit(to - from, spec)}`;
        },
      },
      xAxis: { type: "category", data: spec.categories, ...axis, axisLabel: { ...axis.axisLabel, hideOverlap: false, interval: 0, ...names } },
      yAxis: { type: "value", ...axis, axisLine: { show: false }, axisLabel: { ...axis.axisLabel, formatter: short } },
      series: [
        {
          // A body from one value to another, below zero as well as above.
          type: "candlestick",
          barMaxWidth: 56,
          data: spec.bars.map(([from, to], index) => ({
            value: [from, to, Math.min(from, to), Math.max(from, to)],
            itemStyle: Object.fromEntries(["color", "color0", "borderColor", "borderColor0", "borderColorDoji"].map((name) => [name, role([from, to], index)])),
          })),
        },
        {
          // What a bar is worth stands above it: small changes are lines beside a large total.
          type: "scatter",
          silent: true,
          symbolSize: 1,
          itemStyle: { color: "transparent" },
          data: spec.bars.map(([from, to]) => Math.max(from, to)),
          label: {
            ...text,
            show: room >= 72,
            position: "top",
            distance: 4,
            formatter: (point) => {
              const [from, to] = spec.bars[point.dataIndex];
              return inUnit(to - from, spec);
            },
          },
          labelLayout: { hideOverlap: true },
        },
      ],
    };
  }

  function sankey(spec, chartWidth) {
    const { option, text } = frame({ legend: false });
    const columns = Math.max(...spec.nodes.map((node) => node.depth ?? 0)) || 1;
    const room = Math.min(84, Math.max(40, (chartWidth - 100) / columns - 20));
    const colors = palette();
    const sources = [...new Set(spec.nodes.map((node) => node.source))];
    return {
      ...option,
      tooltip: {
        ...option.tooltip,
        formatter: (item) =>
          item.dataType === "edge"
            ? `${item.data.from} → ${item.data.to}\n${inUnit(item.data.value, spec)}`
            : `${item.data.label_text}\n${inUnit(item.value, spec)}`,
      },
      series: [
        {
          type: "sankey",
          left: 4,
          right: room + 12,
          top: 8,
          bottom: 8,
          nodeGap: 14,
          nodeWidth: 12,
          draggable: false,
          layoutIterations: 32,
          emphasis: { focus: "adjacency" },
          lineStyle: { color: "source", opacity: dark.matches ? 0.35 : 0.28, curveness: 0.5 },
          label: { ...text, fontSize: room < 84 ? 10 : 12, formatter: (item) => item.data.label_text, width: room, overflow: "truncate" },
          labelLayout: { hideOverlap: true },
          data: spec.nodes.map((node) => ({
            name: node.name,
            label_text: node.source,
            depth: node.depth,
            itemStyle: { color: node.is_end ? color("--ink-2") : colors[sources.indexOf(node.source) % 8], borderWidth: 0 },
          })),
          links: spec.links,
        },
      ],
    };
  }

  const builders = {
    line: (spec, width) => overCategories(spec, "line", width),
    bar: (spec, width) => overCategories(spec, "bar", width),
    waterfall,
    sankey,
  };

  function draw() {
    for (const [element, chart] of charts) {
      if (!element.isConnected) {
        chart.dispose();
        charts.delete(element);
      }
    }
    // A page that is left while it loads may never get it.
    const drawn = window.echarts ? document.querySelectorAll("[data-chart]") : [];
    for (const element of drawn) {
      const spec = JSON.parse(document.getElementById(element.dataset.chart).textContent);
      let chart = charts.get(element);
      if (!chart) {
        chart = echarts.init(element, null, { renderer: "canvas" });
        charts.set(element, chart);
        sizes.observe(element);
      }
      chart.setOption(builders[spec.kind](spec, element.clientWidth), true);
      mark(element, chart);
    }
  }

  // Notes: under the axis of a chart over time, a marker on each day that the list below says something of.
  const MARK_WIDTH = 24;
  const stripOf = (element) => document.querySelector(`[data-marks="${element.dataset.chart}"]`);
  const daysOf = (element) => JSON.parse(document.getElementById(element.dataset.chart).textContent).days ?? [];

  // The bin of a day; what came after the last one stands at its end.
  function binOf(days, day) {
    const place = days.findLastIndex((first) => first <= day);
    return place < 0 ? -1 : days.indexOf(days[place]);
  }

  function mark(element, chart) {
    const strip = stripOf(element);
    if (!strip) {
      return;
    }
    const days = daysOf(element);
    const groups = [];
    const items = [...document.querySelectorAll("#notes [data-day]")].sort((one, other) => one.dataset.day.localeCompare(other.dataset.day));
    for (const item of items) {
      const bin = binOf(days, item.dataset.day);
      if (bin >= 0) {
        const at = Math.min(Math.max(chart.convertToPixel({ xAxisIndex: 0 }, bin), MARK_WIDTH / 2), element.clientWidth - MARK_WIDTH / 2);
        const last = groups.at(-1);
        // Markers that would lie on each other are one.
        if (last && at - last.at < MARK_WIDTH) {
          last.items.push(item);
        } else {
          groups.push({ at, items: [item] });
        }
      }
    }
    const marks = groups.map(({ at, items }) => {
      const link = document.createElement("a");
      const isNote = items.some((item) => item.dataset.mark === "note");
      link.className = `mark ${isNote ? "is-note" : "is-change"}`;
      link.href = `#${items[0].id}`;
      link.style.left = `${at}px`;
      const said = items.map((item) => `${item.querySelector("time").textContent}: ${item.querySelector(".mark-text").textContent}`);
      link.dataset.said = said.length > 5 ? [...said.slice(0, 5), `and ${said.length - 5} more`].join("\n") : said.join("\n");
      link.setAttribute("aria-label", link.dataset.said);
      return link;
    });
    const said = document.createElement("p");
    said.className = "mark-said";
    said.setAttribute("aria-hidden", "true");
    strip.replaceChildren(...marks, said);
  }

  function say(event) {
    const link = event.target.closest?.(".mark");
    const said = link?.parentElement.querySelector(".mark-said");
    if (said) {
      said.textContent = ["pointerover", "focusin"].includes(event.type) ? link.dataset.said : "";
    }
  }
  for (const name of ["pointerover", "pointerout", "focusin", "focusout"]) {
    document.addEventListener(name, say);
  }
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      document.querySelectorAll(".mark-said").forEach((said) => (said.textContent = ""));
    }
  });

  // The day of a place on the axis or in the strip under it. What is above the axis opens its rows.
  function dayAt(event) {
    const strip = event.target.closest?.(".marks");
    const element = strip ? document.querySelector(`[data-chart="${strip.dataset.marks}"]`) : event.target.closest?.("[data-chart]");
    const chart = element && stripOf(element) && charts.get(element);
    if (!chart || !document.getElementById("add-note")) {
      return null;
    }
    const box = element.getBoundingClientRect();
    const { x, y, width, height } = chart.getModel().getComponent("grid").coordinateSystem.getRect();
    const [left, top] = [event.clientX - box.left, event.clientY - box.top];
    if (top <= y + height || left < x - MARK_WIDTH || left > x + width + MARK_WIDTH) {
      return null;
    }
    const days = daysOf(element);
    const bin = Math.round(chart.convertFromPixel({ xAxisIndex: 0 }, Math.min(Math.max(left, x), x + width)));
    return days[Math.min(Math.max(bin, 0), days.length - 1)] ?? null;
  }

  document.addEventListener("click", (event) => {
    const link = event.target.closest?.(".mark");
    if (link) {
      event.preventDefault();
      const item = document.querySelector(link.getAttribute("href"));
      item.closest("details").open = true;
      item.focus();
      return;
    }
    const day = dayAt(event);
    if (day) {
      document.getElementById("add-note").open = true;
      document.getElementById("note-day").value = day;
      document.getElementById("note-text").focus();
    }
  });

  // `toggle` does not bubble.
  document.addEventListener(
    "toggle",
    (event) => {
      if (event.target.id === "add-note" && event.target.open) {
        event.target.scrollIntoView({ block: "nearest" });
        document.getElementById("note-text").focus();
      }
    },
    true,
  );

  // A note that is saved leads back to `#notes`: what it is a note on is to be seen, with its marker.
  function showNoted() {
    const strip = location.hash === "#notes" && document.querySelector(".marks");
    if (strip) {
      document.querySelector(`[data-chart="${strip.dataset.marks}"]`).scrollIntoView();
    }
  }
  window.addEventListener("load", showNoted);
  document.addEventListener("htmx:after:swap", (event) => event.target.id === "notes" && showNoted());

  document.addEventListener("pointermove", (event) => {
    const element = event.target.closest?.("[data-chart]");
    if (element && stripOf(element)) {
      element.classList.toggle("is-day", dayAt(event) !== null);
    }
  });

  const sizes = new ResizeObserver((entries) =>
    entries.forEach((entry) => {
      const chart = charts.get(entry.target);
      chart?.resize();
      if (chart) {
        mark(entry.target, chart);
      }
    }),
  );
  dark.addEventListener("change", draw);
  document.addEventListener("DOMContentLoaded", draw);
  document.addEventListener("htmx:after:swap", draw);
})();
