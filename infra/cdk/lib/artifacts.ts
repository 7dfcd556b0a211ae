import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

import { Stack, aws_lambda, type aws_s3 } from "aws-cdk-lib";
import { CfnInclude } from "aws-cdk-lib/cloudformation-include";
import { Asset } from "aws-cdk-lib/aws-s3-assets";
import type { Construct } from "constructs";

import { refused } from "./refused";
import { asset, checked, declared } from "./template";

/** The template's parameters that name artifacts, with their values. */
export type Keys = Record<string, string>;

/**
 * The zips of the functions and the definitions of the state machines: one object each, all in one bucket, under keys that
 * hold the content's hash. A Lambda version is published exactly when its key, or a parameter that configures it, changes.
 */
export abstract class Artifacts {
  /**
   * Zips from a folder, which `cdk deploy` uploads: `<function>.zip` for each function, as `cargo xtask package-lambdas` leaves
   * them in `target/package/<processor>`. The state machines are those that came with the template.
   *
   * `zips.json` beside them says what they are. Refused are zips of another release than this package or for another processor than
   * `architecture`, and every zip whose hash is not the one written there.
   */
  static fromDirectory(directory: string): Artifacts {
    return new Directory(directory);
  }

  /** Objects that were uploaded by other means: a key for each of the template's parameters `<Name>Key`, such as `ServeKey`. */
  static fromBucket(bucket: aws_s3.IBucket, keys: Keys): Artifacts {
    return new Uploaded(bucket, keys);
  }

  /** The values of `ArtifactBucket` and of each `<Name>Key`. */
  abstract bind(scope: Construct): Keys;
}

/** The template's parameters for keys: `ServeKey` for `serve.zip`, `PromotionAslKey` for `promotion.asl.json`. */
export function keys(): string[] {
  return [...declared().keys()].filter((name) => name.endsWith("Key"));
}

/** The bucket's parameter. */
export const BUCKET = "ArtifactBucket";

/** `ServeKey` is the key of `serve.zip`. */
function file(key: string): { name: string; machine: boolean } {
  const machine = key.endsWith("AslKey");
  const words = key
    .replace(/(Asl)?Key$/, "")
    .replace(/(?<!^)[A-Z]/g, (letter) => `-${letter}`)
    .toLowerCase();
  return { name: machine ? `${words}.asl.json` : `${words}.zip`, machine };
}

/** What `cargo xtask package-lambdas` writes beside the zips. */
export const MANIFEST = "zips.json";
const SCHEMA = 1;

/** What the zips of a folder are. */
export interface Manifest {
  readonly schema: number;
  /** The release. */
  readonly version: string;
  /** As Lambda's API names it. */
  readonly processor: string;
  /** The SHA-256 of each zip by the name of its file. */
  readonly zips: Readonly<Record<string, string>>;
}

/** This package's version, which is that of the zips that belong to its template. */
export function version(): string {
  return JSON.parse(readFileSync(join(__dirname, "..", "..", "package.json"), "utf8")).version;
}

/**
 * The manifest of a folder with zips of this release, each of which is what the manifest says it is.
 *
 * CloudFormation moves `live` to whatever it is given and runs none of it: a zip that cannot start is found out in production.
 */
function described(directory: string, names: string[]): Manifest {
  const path = join(directory, MANIFEST);
  if (!existsSync(path)) {
    const expected =
      "it beside the zips, as `cargo xtask package-lambdas` leaves it in target/package/<processor>. " +
      "`cargo xtask build` writes none: its zips may run on the machine that built them only";
    throw refused("artifacts", `no ${MANIFEST} in ${directory}`, expected);
  }
  const manifest = parsed(readFileSync(path, "utf8"));
  if (manifest === undefined) {
    const expected = `schema ${SCHEMA}: run \`cargo xtask package-lambdas\` in release ${version()}`;
    throw refused("artifacts", `${path} that this package cannot read`, expected);
  }
  if (manifest.version !== version()) {
    const expected =
      `those of ${version()}, which this package is: run \`cargo xtask package-lambdas\` in that release, ` +
      `or install the package of ${manifest.version}`;
    throw refused("artifacts", `zips of release ${manifest.version} in ${directory}`, expected);
  }
  const unknown = names.filter((name) => manifest.zips[name] === undefined);
  if (unknown.length > 0) {
    const expected =
      "every function's zip in it: run `cargo xtask package-lambdas` without `--function`, or with each of these";
    throw refused("artifacts", `no ${unknown.join(", ")} in ${path}`, expected);
  }
  const changed = names.filter((name) => sha256(join(directory, name)) !== manifest.zips[name]);
  if (changed.length > 0) {
    const expected = `zips with the hashes in ${MANIFEST}: run \`cargo xtask package-lambdas\``;
    throw refused("artifacts", `other bytes of ${changed.join(", ")} in ${directory}`, expected);
  }
  return manifest;
}

/** A manifest, if the text is one that this release knows. */
function parsed(text: string): Manifest | undefined {
  try {
    const manifest: Manifest | null = JSON.parse(text);
    return manifest?.schema === SCHEMA && typeof manifest.zips === "object" && manifest.zips !== null
      ? manifest
      : undefined;
  } catch {
    return undefined;
  }
}

function sha256(path: string): string {
  return createHash("sha256").update(readFileSync(path)).digest("hex");
}

class Directory extends Artifacts {
  constructor(private readonly directory: string) {
    super();
  }

  bind(scope: Construct): Keys {
    const found = keys().map((key) => {
      const { name, machine } = file(key);
      return { key, name, path: machine ? asset(name) : join(this.directory, name) };
    });
    const missing = found.filter(({ path }) => !existsSync(path)).map(({ name }) => name);
    if (missing.length > 0) {
      throw refused(
        "artifacts",
        `no ${missing.join(", ")} in ${this.directory}`,
        "one zip for each function, as `cargo xtask package-lambdas` leaves them in target/package/<processor>",
      );
    }
    const manifest = described(
      this.directory,
      found.filter(({ path }) => path.endsWith(".zip")).map(({ name }) => name),
    );
    // Asked of the functions when all is said: what they run on is a property's, the template's or an app's own word.
    scope.node.addValidation({ validate: () => this.misplaced(scope, manifest.processor) });
    const bound: Keys = {};
    for (const { key, path } of found) {
      const object = new Asset(scope, key.replace(/Key$/, ""), { path });
      const bucket = (bound[BUCKET] ??= object.s3BucketName);
      if (!same(scope, object.s3BucketName, bucket)) {
        throw refused(
          "artifacts",
          "assets in more than one bucket",
          "a synthesizer that puts all file assets of a stack into one",
        );
      }
      bound[key] = object.s3ObjectKey;
    }
    return bound;
  }

  /** What is wrong where the template's functions run on another processor than the zips do. */
  private misplaced(scope: Construct, processor: string): string[] {
    const template = scope.node.scope?.node.children.find((child) => child instanceof CfnInclude);
    const functions = (template?.node.findAll() ?? []).filter(
      (child) => child instanceof aws_lambda.CfnFunction,
    );
    const processors = functions.flatMap(({ architectures }) => Stack.of(scope).resolve(architectures));
    // What is known only when deployed is no text yet.
    const others = new Set(processors.filter((other) => typeof other === "string" && other !== processor));
    return [...others].map((other) => {
      const found = `zips for ${processor} in ${this.directory} and functions on ${other}`;
      const expected =
        `one processor: set \`architecture\` to that of the zips, ` +
        `or run \`cargo xtask package-lambdas --arch ${other}\` and name target/package/${other}`;
      return refused("artifacts", found, expected).message;
    });
  }
}

/** Whether two values are the same text once everything is known. */
function same(scope: Construct, one: string, other: string): boolean {
  const shown = (value: string): string => JSON.stringify(Stack.of(scope).resolve(value));
  return shown(one) === shown(other);
}

class Uploaded extends Artifacts {
  constructor(
    private readonly bucket: aws_s3.IBucket,
    private readonly given: Keys,
  ) {
    super();
  }

  bind(): Keys {
    const wanted = keys();
    const missing = wanted.filter((key) => !this.given[key]);
    const unknown = Object.keys(this.given).filter((key) => !wanted.includes(key));
    if (missing.length > 0)
      throw refused(
        "artifacts",
        `no key for ${missing.join(", ")}`,
        "one for each function and state machine",
      );
    if (unknown.length > 0)
      throw refused("artifacts", `keys for ${unknown.join(", ")}`, `keys for ${wanted.join(", ")} only`);
    const bound: Keys = { [BUCKET]: this.bucket.bucketName };
    for (const key of wanted) bound[key] = String(checked(key, `artifacts.${key}`, this.given[key] ?? ""));
    return bound;
  }
}
