// Makes built/tracker.js and built/stub.js of source/, and prints what they weigh.

import { writeFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

import { build } from "esbuild";

const here = new URL(".", import.meta.url).pathname;

// As old as browsers may be: Chrome 80, Firefox 74, Safari 13.1.
const common = { bundle: true, minify: true, write: false, target: "es2020", charset: "ascii", legalComments: "none" };

async function built(name, wrapped, options) {
    const made = await build({ ...common, ...options, entryPoints: [`${here}source/${name}.js`] });
    const text = wrapped(made.outputFiles[0].text.trim());
    writeFileSync(`${process.argv[2] ?? `${here}built`}/${name}.js`, text);
    console.log(`${name}.js: ${text.length} bytes minified, ${gzipSync(text, { level: 9 }).length} gzipped`);
}

// The modules' names become those of one function, whose parameter is the config. "$" is a name that nothing takes.
await built("tracker", (text) => `($=>{${text.replace(/;$/, "")}})`, { format: "esm", define: { CONFIG: "$" } });
await built("stub", (text) => text.replace(/;$/, ""), {});
