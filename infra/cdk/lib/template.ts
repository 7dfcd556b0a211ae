import { existsSync } from "node:fs";
import { join } from "node:path";

import { CfnParameter, Stack, Token } from "aws-cdk-lib";
import { CfnInclude } from "aws-cdk-lib/cloudformation-include";

import { refused } from "./refused";

/** A file that the build put beside the compiled code: the template, the state machines. */
export function asset(name: string): string {
  const path = join(__dirname, "..", "assets", name);
  if (!existsSync(path)) {
    throw new Error(`Seatrial: ${path} is missing; in the repository \`npm run build\` puts it there`);
  }
  return path;
}

/** What a value is passed to the template as. */
export type Value = string | number;

let parameters: Map<string, CfnParameter> | undefined;

/** The template's parameters as it declares them: what is allowed is said there and nowhere else. */
export function declared(): Map<string, CfnParameter> {
  if (parameters === undefined) {
    const scratch = new Stack();
    new CfnInclude(scratch, "Template", { templateFile: asset("template.yaml") });
    const found = scratch.node.findAll().filter((child) => child instanceof CfnParameter);
    parameters = new Map(found.map((parameter) => [parameter.node.id, parameter]));
  }
  return parameters;
}

/**
 * Whether a value only stands for one that the CLI has yet to look up. It looks up when the app ran to its end, and runs it again:
 * to refuse what CDK has put there meanwhile would be to refuse every look-up.
 */
export function placeholder(value: unknown): boolean {
  return typeof value === "string" && /dummy-value-for-|role\/DUMMY_ARN$/.test(value);
}

/** Whether nobody knows a value yet. */
export function open(value: unknown): boolean {
  return Token.isUnresolved(value) || placeholder(value);
}

/**
 * Checks a value against what the template allows for its parameter.
 *
 * CloudFormation checks parameters; values that the construct writes in their place it never sees as such.
 */
export function checked(name: string, property: string, value: Value): Value {
  const parameter = declared().get(name);
  if (parameter === undefined) {
    throw new Error(`Seatrial: ${property}: the template has no parameter ${name}`);
  }
  if (open(value)) {
    return value;
  }
  const fail = (expected: string): never => {
    throw refused(property, typeof value === "string" ? JSON.stringify(value) : String(value), expected);
  };
  if (parameter.type === "Number") {
    const number = Number(value);
    if (!Number.isInteger(number)) fail("a whole number");
    const { minValue, maxValue, allowedValues } = parameter;
    if (minValue !== undefined && number < minValue) fail(`at least ${minValue}`);
    if (maxValue !== undefined && number > maxValue) fail(`at most ${maxValue}`);
    if (allowedValues !== undefined && !allowedValues.map(Number).includes(number)) {
      fail(`one of ${allowedValues.join(", ")}`);
    }
    return number;
  }
  const text = String(value);
  if (text.includes("${")) fail("text without `${`, which CloudFormation would read as a reference");
  const { allowedValues, allowedPattern, constraintDescription, minLength, maxLength } = parameter;
  if (allowedValues !== undefined && !allowedValues.map(String).includes(text)) {
    fail(`one of ${allowedValues.join(", ")}`);
  }
  if (allowedPattern !== undefined && !new RegExp(allowedPattern).test(text)) {
    fail(constraintDescription ?? `text that matches ${allowedPattern}`);
  }
  if (minLength !== undefined && text.length < minLength) fail(`at least ${minLength} characters`);
  if (maxLength !== undefined && text.length > maxLength) fail(`at most ${maxLength} characters`);
  return value;
}
