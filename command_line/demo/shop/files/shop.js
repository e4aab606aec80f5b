// An open order's page says how long its next build takes, until the dashboard shows the order.
const figures = document.querySelector("[data-figures]");
if (figures) {
  const ask = async () => {
    try {
      const answer = await fetch(figures.dataset.figures);
      if (answer.ok) {
        const said = await answer.json();
        if (figures.textContent !== said.sentence) figures.textContent = said.sentence;
        if (said.is_shown) return;
      }
    } catch {
      // The demo may have ended; asking goes on in case that it has not.
    }
    setTimeout(ask, 3000);
  };
  setTimeout(ask, 3000);
}
