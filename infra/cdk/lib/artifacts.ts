import { existsSync } from "node:fs";
import { join } from "node:path";

import { Stack, type aws_s3 } from "aws-cdk-lib";
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
