// The page must not suffer from the tracker: whatever goes wrong ends here.

export const { warn } = console;

/** What the work returns, or what `otherwise` makes of its error. */
export const attempt = (work, otherwise = () => {}) => {
    try {
        return work();
    } catch (error) {
        return otherwise(error);
    }
};

/** The function, but it never throws. */
export const quiet =
    (work) =>
    (...given) =>
        attempt(() => work(...given), warn);

/** Work in a task of its own. */
export const later = (work, milliseconds) => setTimeout(quiet(work), milliseconds);

/** Listen to events of `target`, before the page does. */
export const on = (target, names, work) => names.split(" ").map((name) => target.addEventListener(name, quiet(work), true));
