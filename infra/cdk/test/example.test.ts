import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

import { named, policies, refusals } from "./alarms";
import { folder, zips } from "./deployed";

test("the example synthesizes as `cdk synth` runs it, without an account", () => {
  const out = folder();
  const { CDK_DEFAULT_ACCOUNT: _, CDK_DEFAULT_REGION: __, ...rest } = process.env;
  const environment = {
    ...rest,
    CDK_OUTDIR: out,
    CDK_CONTEXT_JSON: JSON.stringify({ zips: zips() }),
    CDK_VALIDATION: "false",
  };
  const { app } = JSON.parse(readFileSync("cdk.json", "utf8"));
  const said = execFileSync("sh", ["-c", app], { env: environment, encoding: "utf8", stdio: "pipe" });
  assert.equal(said, "");
  const read = (file: string) => JSON.parse(readFileSync(join(out, file), "utf8"));
  const { artifacts } = read("manifest.json");
  assert.equal(artifacts.seatrial.properties.terminationProtection, true);
  const { Resources } = read("seatrial.template.json");
  assert.equal(Resources.ServeFunction.Type, "AWS::Lambda::Function");
  assert.ok(named(Resources).some((topic) => policies(Resources, topic).length > 0));
  assert.deepEqual(refusals(Resources, "seatrial"), []);
  const files = Object.values<{ source: { path: string } }>(read("seatrial.assets.json").files).map(
    (file) => file.source.path,
  );
  assert.equal(
    files.filter((path) => path.endsWith(".zip")).length,
    Object.keys(Resources).filter((name) => Resources[name].Type === "AWS::Lambda::Function").length,
  );
});

test("the package has the version of what it deploys", () => {
  const { version } = JSON.parse(readFileSync("package.json", "utf8"));
  assert.match(
    readFileSync("../../Cargo.toml", "utf8"),
    new RegExp(`\\[workspace\\.package\\][^[]*\nversion = "${version}"`),
  );
});
