import assert from "node:assert/strict";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

import { aws_lambda as lambda } from "aws-cdk-lib";

import { Artifacts, type SeatrialProps } from "../lib";
import { MANIFEST, type Manifest, version } from "../lib/artifacts";
import { type Json, deployed, folder, synthesized, zips } from "./deployed";

const from = (directory: string, props: Partial<SeatrialProps> = {}): Json =>
  synthesized(deployed({ artifacts: Artifacts.fromDirectory(directory), ...props }).stack);

const refuses = (directory: string, error: string, props: Partial<SeatrialProps> = {}): void =>
  assert.throws(
    () => from(directory, props),
    (thrown: Error) =>
      thrown.message.includes(`Seatrial: artifacts: ${error}`) || assert.fail(thrown.message),
  );

test("zips that are what their manifest says are deployed, for either processor", () => {
  const { ServeFunction } = from(zips()).Resources;
  assert.deepEqual(ServeFunction.Properties.Architectures, ["x86_64"]);
  const arm = zips("zip", { processor: "arm64" });
  const onArm = from(arm, { architecture: lambda.Architecture.ARM_64 }).Resources.ServeFunction;
  assert.deepEqual(onArm.Properties.Architectures, ["arm64"]);
});

test("zips for another processor than the functions run on are refused", () => {
  const arm = zips("zip", { processor: "arm64" });
  const expected = (other: string): string =>
    "expected one processor: set `architecture` to that of the zips, or run " +
    `\`cargo xtask package-lambdas --arch ${other}\` and name target/package/${other}`;
  refuses(arm, `found zips for arm64 in ${arm} and functions on x86_64, ${expected("x86_64")}`);
  const x86 = zips();
  const architecture = lambda.Architecture.ARM_64;
  refuses(x86, `found zips for x86_64 in ${x86} and functions on arm64, ${expected("arm64")}`, {
    architecture,
  });
});

test("a function that an app puts on another processor by itself is refused too", () => {
  const { seatrial, stack } = deployed();
  (seatrial.template.getResource("ServeFunction") as lambda.CfnFunction).architectures = ["arm64"];
  assert.throws(
    () => synthesized(stack),
    /Seatrial: artifacts: found zips for x86_64 in .* and functions on arm64/,
  );
});

test("a function of the app's own may run on any processor", () => {
  const { seatrial, stack } = deployed();
  new lambda.Function(seatrial, "Own", {
    architecture: lambda.Architecture.ARM_64,
    runtime: lambda.Runtime.PROVIDED_AL2023,
    handler: "bootstrap",
    code: lambda.Code.fromAsset(zips()),
  });
  assert.doesNotThrow(() => synthesized(stack));
});

test("zips that are not those of the manifest are all named", () => {
  const directory = zips();
  for (const name of ["serve.zip", "crown.zip"]) writeFileSync(join(directory, name), "another zip");
  refuses(
    directory,
    `found other bytes of crown.zip, serve.zip in ${directory}, expected zips with the hashes in zips.json: ` +
      "run `cargo xtask package-lambdas`",
  );
});

test("zips of another release are refused", () => {
  const directory = zips("zip", { version: "0.0.1" });
  refuses(
    directory,
    `found zips of release 0.0.1 in ${directory}, expected those of ${version()}, which this package is: ` +
      "run `cargo xtask package-lambdas` in that release, or install the package of 0.0.1",
  );
});

test("zips without a manifest, such as those of `cargo xtask build`, are refused", () => {
  const directory = zips();
  rmSync(join(directory, MANIFEST));
  refuses(
    directory,
    `found no zips.json in ${directory}, expected it beside the zips, as \`cargo xtask package-lambdas\` leaves it in ` +
      "target/package/<processor>. `cargo xtask build` writes none: its zips may run on the machine that built them only",
  );
});

test("zips that the manifest does not name, as after `--function`, are all named", () => {
  const directory = zips();
  const manifest: Manifest = JSON.parse(readFileSync(join(directory, MANIFEST), "utf8"));
  const { "serve.zip": _, "crown.zip": __, ...rest } = manifest.zips;
  writeFileSync(join(directory, MANIFEST), JSON.stringify({ ...manifest, zips: rest }));
  refuses(
    directory,
    `found no crown.zip, serve.zip in ${join(directory, MANIFEST)}, expected every function's zip in it: ` +
      "run `cargo xtask package-lambdas` without `--function`, or with each of these",
  );
});

test("a manifest that this release cannot read is refused", () => {
  for (const text of ["", "null", "[]", "{", '{"schema": 2, "zips": {}}', '{"schema": 1}']) {
    const directory = zips();
    writeFileSync(join(directory, MANIFEST), text);
    refuses(
      directory,
      `found ${join(directory, MANIFEST)} that this package cannot read, expected schema 1: ` +
        `run \`cargo xtask package-lambdas\` in release ${version()}`,
    );
  }
});

test("a folder without zips is told so before it is asked for a manifest", () => {
  const directory = folder();
  refuses(directory, "found no intake.zip, ");
});
