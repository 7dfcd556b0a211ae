import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";

import { App, Stack, type StackProps } from "aws-cdk-lib";
import { Template } from "aws-cdk-lib/assertions";
import { CfnInclude } from "aws-cdk-lib/cloudformation-include";

import { Artifacts, Seatrial, type SeatrialProps } from "../lib";
import { MANIFEST, type Manifest, keys, version } from "../lib/artifacts";
import { asset, declared } from "../lib/template";

/** A template, or a part of one, as JSON. */
export type Json = any;

const made: string[] = [];
after(() => made.forEach((folder) => rmSync(folder, { recursive: true, force: true })));

/** A new folder that goes with the tests. */
export function folder(): string {
  const path = mkdtempSync(join(tmpdir(), "seatrial-cdk-"));
  made.push(path);
  return path;
}

/** Stand-ins of the zips: what is in them decides nothing here but their keys. Their manifest is right but for what is `said`. */
export function zips(content = "zip", said: Partial<Manifest> = {}): string {
  const path = folder();
  const hashes: Record<string, string> = {};
  for (const key of keys().filter((key) => !key.endsWith("AslKey"))) {
    const name = `${key.replace(/Key$/, "").toLowerCase()}.zip`;
    writeFileSync(join(path, name), `${content} of ${key}`);
    hashes[name] = createHash("sha256").update(`${content} of ${key}`).digest("hex");
  }
  const manifest: Manifest = { schema: 1, version: version(), processor: "x86_64", zips: hashes, ...said };
  writeFileSync(join(path, MANIFEST), JSON.stringify(manifest));
  return path;
}

/** An app whose own validation is off: it takes seconds to start, and `checks.test.ts` has it on. */
export function quiet(): App {
  return new App({ analyticsReporting: false, builtinCloudFormationValidation: false, outdir: folder() });
}

/** A stack with a Seatrial in it. */
export function deployed(
  props: Partial<SeatrialProps> | ((stack: Stack) => Partial<SeatrialProps>) = {},
  of: StackProps & { app?: App } = {},
) {
  const app = of.app ?? quiet();
  const stack = new Stack(app, "Seatrial", of);
  const given = typeof props === "function" ? props(stack) : props;
  const processor = given.architecture?.name ?? "x86_64";
  const artifacts = Artifacts.fromDirectory(zips("zip", { processor }));
  const seatrial = new Seatrial(stack, "Seatrial", { artifacts, ...given });
  return { app, stack, seatrial };
}

/** What the stack is synthesized to. */
export function synthesized(stack: Stack): Json {
  return Template.fromStack(stack).toJSON();
}

let read: Json;

/** The template as it is, read without the construct. */
export function written(): Json {
  return (read ??= include());
}

function include(): Json {
  const stack = new Stack(quiet(), "Written");
  new CfnInclude(stack, "Template", { templateFile: asset("template.yaml") });
  return synthesized(stack);
}

/** A part of the template with values in the place of parameters, and what CDK works out by itself worked out. */
export function filled(part: Json, values: Record<string, string | number>): Json {
  if (Array.isArray(part)) return part.map((item) => filled(item, values));
  if (typeof part !== "object" || part === null) return part;
  if (typeof part.Ref === "string" && part.Ref in values) return values[part.Ref];
  if (typeof part["Fn::Sub"] === "string") return { "Fn::Sub": put(part["Fn::Sub"], values) };
  if (part["Fn::Sub"])
    return { "Fn::Sub": [put(part["Fn::Sub"][0], values), filled(part["Fn::Sub"][1], values)] };
  const inner = Object.fromEntries(
    Object.entries(part).map(([name, value]) => [name, filled(value, values)]),
  );
  const [separator, text] = inner["Fn::Split"] ?? [];
  return typeof text === "string" ? text.split(separator) : inner;
}

const put = (text: string, values: Record<string, string | number>): string =>
  text.replace(/\$\{(\w+)\}/g, (all, name) => (name in values ? String(values[name]) : all));

/** The same with every scalar as text, which is how CloudFormation passes them: `true` is `"true"`. */
export function texts(part: Json): Json {
  if (Array.isArray(part)) return part.map(texts);
  if (typeof part !== "object" || part === null) return String(part);
  return Object.fromEntries(Object.entries(part).map(([name, value]) => [name, texts(value)]));
}

/** The template's defaults, as it passes them. */
export function defaults(): Record<string, string | number> {
  const found: Record<string, string | number> = {};
  for (const [name, parameter] of declared()) {
    if (parameter.default !== undefined)
      found[name] = parameter.type === "Number" ? Number(parameter.default) : String(parameter.default);
  }
  return found;
}
