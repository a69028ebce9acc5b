// Builds the views into interp_widgets/static:
//   graph.js             anywidget module (ESM, one file, no imports)
//   graph.css            its style sheet
//   graph-standalone.js  the same view as a plain script, for pages with no kernel
//   training.js, .css    the live view of a training; its charts are plotly's own
//   steering.js, .css    the steering view
//   ablation.js, .css    the ablation view
//   features.js, .css    the features view: a list to search, and the card of a feature
//   features-standalone.js  the cards as a plain script; features.css is their style sheet, too
//   text.js, .css        the text view: a prompt's tokens by features
//   text-standalone.js   the same as a plain script, for pages with no kernel
import { mkdir } from "node:fs/promises";
import * as esbuild from "esbuild";

const OUT = "interp_widgets/static";
const common = {
  bundle: true,
  minify: true,
  target: "es2022",
  legalComments: "none",
  charset: "utf8",
  logLevel: "warning",
};

const targets = [
  { ...common, entryPoints: ["js/graph/widget.ts"], format: "esm", outfile: `${OUT}/graph.js` },
  {
    ...common,
    entryPoints: ["js/graph/standalone.ts"],
    format: "iife",
    globalName: "interpWidgetsGraph",
    outfile: `${OUT}/graph-standalone.js`,
  },
  { ...common, entryPoints: ["js/graph/style.css"], outfile: `${OUT}/graph.css` },
  {
    ...common,
    entryPoints: ["js/training/widget.ts"],
    format: "esm",
    outfile: `${OUT}/training.js`,
  },
  { ...common, entryPoints: ["js/training/style.css"], outfile: `${OUT}/training.css` },
  {
    ...common,
    entryPoints: ["js/steering/widget.ts"],
    format: "esm",
    outfile: `${OUT}/steering.js`,
  },
  { ...common, entryPoints: ["js/steering/style.css"], outfile: `${OUT}/steering.css` },
  {
    ...common,
    entryPoints: ["js/ablation/widget.ts"],
    format: "esm",
    outfile: `${OUT}/ablation.js`,
  },
  { ...common, entryPoints: ["js/ablation/style.css"], outfile: `${OUT}/ablation.css` },
  {
    ...common,
    entryPoints: ["js/features/widget.ts"],
    format: "esm",
    outfile: `${OUT}/features.js`,
  },
  {
    ...common,
    entryPoints: ["js/feature/standalone.ts"],
    format: "iife",
    globalName: "interpWidgetsFeatures",
    outfile: `${OUT}/features-standalone.js`,
  },
  { ...common, entryPoints: ["js/features/style.css"], outfile: `${OUT}/features.css` },
  { ...common, entryPoints: ["js/text/widget.ts"], format: "esm", outfile: `${OUT}/text.js` },
  {
    ...common,
    entryPoints: ["js/text/standalone.ts"],
    format: "iife",
    globalName: "interpWidgetsText",
    outfile: `${OUT}/text-standalone.js`,
  },
  { ...common, entryPoints: ["js/text/style.css"], outfile: `${OUT}/text.css` },
];

await mkdir(OUT, { recursive: true });
if (process.argv.includes("--watch")) {
  const contexts = await Promise.all(
    targets.map((t) => esbuild.context({ ...t, logLevel: "info" })),
  );
  await Promise.all(contexts.map((context) => context.watch()));
} else {
  await Promise.all(targets.map((t) => esbuild.build(t)));
}
