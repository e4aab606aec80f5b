// Makes built/tracker.js and built/stub.js (or those of another folder) of source/, and prints what they weigh.

import { writeFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

import { build } from "esbuild";
import { minify } from "terser";

const here = new URL(".", import.meta.url).pathname;
const folder = process.argv[2] ?? `${here}built`;

async function built(name, before, after) {
    const bundled = await build({
        entryPoints: [`${here}source/${name}.js`],
        bundle: true,
        write: false,
        minifySyntax: true,
        format: "esm",
        // As old as browsers may be: Chrome 80, Firefox 74, Safari 14.
        target: "es2020",
    });
    const { code } = await minify(before + bundled.outputFiles[0].text + after, {
        ecma: 2020,
        compress: { passes: 6, unsafe_arrows: true, unsafe_methods: true, expression: true },
        format: { ascii_only: true, wrap_func_args: false, semicolons: true },
    });
    // Whoever serves the tracker calls it; the stub is a script as it is.
    const bare = code.replace(/;$/, "");
    const text = before ? `(${bare})` : bare;
    writeFileSync(`${folder}/${name}.js`, text);
    console.log(`${name}.js: ${text.length} bytes minified, ${gzipSync(text, { level: 9 }).length} gzipped`);
}

// The names of all modules become those of one function, which knows the config. A second copy does nothing.
const otherwise = "})() } catch {} })";
await built("tracker", "((CONFIG) => { try { window.flux?.fh || (() => {", otherwise);
await built("stub", "", "");
