import { createHash } from "node:crypto";

import { Fn, Stack, Token, aws_lambda } from "aws-cdk-lib";
import type { CfnInclude } from "aws-cdk-lib/cloudformation-include";

/**
 * The parameter of a digest in the place of all of that. The construct leaves it empty and makes its own, one of each version: it
 * changes when that function changes and not otherwise, so Lambda has a version to publish.
 */
export const DIGEST = "ConfigurationDigest";
/** What Lambda takes as the description of a version. */
const LIMIT = 256;
/** How long what is known only when deployed is taken to be: an issuer's address, a topic's ARN. */
const UNKNOWN = 80;

/**
 * Shortens descriptions of versions that Lambda would refuse.
 *
 * A description names everything that configures its version, so that it changes when they do. Where all of it is too long, a
 * digest of it does the same; what is known only when deployed follows it.
 */
export function shorten(template: CfnInclude): void {
  const stack = Stack.of(template);
  for (const version of template.node.findAll().filter((child) => child instanceof aws_lambda.CfnVersion)) {
    const { text, unknown } = read(stack.resolve(version.description));
    if (text.length + unknown.length * UNKNOWN > LIMIT) {
      const digest = createHash("sha256").update(text).digest("hex").slice(0, 32);
      version.description = Fn.join(" ", [digest, ...unknown]);
    }
  }
}

/** A description as `Fn::Sub` holds it: its text with names in it, and the values of these names. */
function read(description: unknown): { text: string; unknown: string[] } {
  if (typeof description === "string") return { text: description, unknown: [] };
  // Where no digest is given, which here nobody does, the last of the three counts.
  const choice = (description as { "Fn::If"?: [string, unknown, unknown] })["Fn::If"];
  if (choice !== undefined) return read(choice[2]);
  const sub = (description as { "Fn::Sub"?: string | [string, Record<string, unknown>] })["Fn::Sub"];
  if (sub === undefined)
    throw new Error(
      `Seatrial: a version's description is ${JSON.stringify(description)}, which is no Fn::Sub`,
    );
  const [text, values] = typeof sub === "string" ? [sub, {}] : sub;
  return { text, unknown: Object.values(values).map((value) => Token.asString(value)) };
}
