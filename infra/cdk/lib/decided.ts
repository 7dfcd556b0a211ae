import { CfnCondition, CfnRule, type ICfnConditionExpression, Stack, Token } from "aws-cdk-lib";
import type { CfnInclude } from "aws-cdk-lib/cloudformation-include";

/**
 * Puts what is known now into the template's conditions and rules.
 *
 * They ask whether a parameter is empty, and CloudFormation decides them before there are resources: a template with a
 * reference to one in a condition is refused as a whole. A value that is known only when deployed was handed in, so it is not
 * empty, and reads there as the word `given`. Rules that the construct has asked by then, and answered with an error that
 * names the property, go.
 */
export function decide(template: CfnInclude, answered: readonly string[]): void {
  const stack = Stack.of(template);
  for (const child of template.node.findAll()) {
    if (child instanceof CfnCondition && child.expression) {
      child.expression = Token.asAny(known(stack.resolve(child.expression))) as ICfnConditionExpression;
    }
    if (child instanceof CfnRule && answered.includes(child.node.id)) {
      child.node.scope?.node.tryRemoveChild(child.node.id);
    }
  }
}

/** A condition in which only pseudo parameters are left open. */
function known(condition: unknown): unknown {
  if (Array.isArray(condition)) return condition.map(known);
  if (typeof condition !== "object" || condition === null) return condition;
  return Object.fromEntries(
    Object.entries(condition).map(([name, value]) => [
      name,
      name === "Fn::Equals" ? (value as unknown[]).map(side) : known(value),
    ]),
  );
}

/** One side of an equality, as text. */
function side(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return String(value);
  const { Ref } = value as { Ref?: string };
  return Ref?.startsWith("AWS::") ? value : "given";
}
