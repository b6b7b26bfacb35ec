"use strict";
(() => {
  const OPTIONS = {
    responsive: true,
    displaylogo: false,
    // The report talks to no server: nothing is to be uploaded from it.
    modeBarButtonsToRemove: ["sendChartToCloud", "select2d", "lasso2d", "autoScale2d"],
  };
  const PRINT_WIDTH = 680;
  const PLAY_INTERVAL = 900;
  const together = document.getElementById("together");
  const staged = [];

  for (const section of document.querySelectorAll(".picture")) {
    const plot = section.querySelector(".plot");
    const { data, layout } = JSON.parse(document.getElementById(`${section.id}-data`).textContent);
    // A native slider takes the place of plotly's: it works with the keyboard and a screen reader.
    const slider = (layout.sliders || [])[0];
    delete layout.sliders;
    Plotly.newPlot(plot, data, layout, OPTIONS);
    if (slider) addStage(section.querySelector(".stage"), plot, slider.steps);
  }

  function addStage(control, plot, steps) {
    const range = control.querySelector("input");
    const output = control.querySelector("output");
    const button = control.querySelector("button");
    let timer = null;

    function show(index) {
      range.value = index;
      range.setAttribute("aria-valuetext", steps[index].label);
      output.textContent = steps[index].label;
      Plotly.update(plot, ...steps[index].args);
    }
    function showLabelled(label) {
      const index = steps.findIndex((step) => step.label === label);
      if (index >= 0 && index !== Number(range.value)) show(index);
    }
    function move(index) {
      show(index);
      if (together && together.checked) {
        for (const other of staged) if (other !== showLabelled) other(steps[index].label);
      }
    }
    function stop() {
      clearInterval(timer);
      timer = null;
      button.textContent = "▶";
      button.setAttribute("aria-label", "Play the stages");
    }

    range.max = steps.length - 1;
    range.value = steps.length - 1;
    range.setAttribute("aria-valuetext", steps[steps.length - 1].label);
    output.textContent = steps[steps.length - 1].label;
    range.addEventListener("input", () => { stop(); move(Number(range.value)); });
    button.addEventListener("click", () => {
      if (timer) return stop();
      button.textContent = "❚❚";
      button.setAttribute("aria-label", "Pause");
      move(Number(range.value) === steps.length - 1 ? 0 : Number(range.value) + 1);
      timer = setInterval(() => {
        if (Number(range.value) === steps.length - 1) return stop();
        move(Number(range.value) + 1);
      }, PLAY_INTERVAL);
    });
    control.hidden = false;
    staged.push(showLabelled);
  }

  // Paper is narrower than the screen, and plots keep the width they were drawn at.
  const plots = document.querySelectorAll(".plot");
  addEventListener("beforeprint", () => plots.forEach((plot) => Plotly.relayout(plot, { width: PRINT_WIDTH })));
  addEventListener("afterprint", () => plots.forEach((plot) => Plotly.relayout(plot, { width: null, autosize: true })));
})();
