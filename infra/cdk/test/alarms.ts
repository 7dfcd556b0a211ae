import type { Json } from "./deployed";

const CLOUDWATCH = "cloudwatch.amazonaws.com";

/** The names of the topics that alarms of a synthesized stack name. */
export function named(resources: Json): string[] {
  const all = Object.values<Json>(resources).filter(({ Type }) => Type === "AWS::CloudWatch::Alarm");
  const actions = JSON.stringify(all.map(({ Properties }) => Properties.AlarmActions));
  return Object.keys(resources).filter(
    (name) => resources[name].Type === "AWS::SNS::Topic" && actions.includes(`"Ref":"${name}"`),
  );
}

/** The statements of the policies that a topic has of its own. */
export function policies(resources: Json, topic: string): Json[] {
  return Object.values<Json>(resources)
    .filter(({ Type }) => Type === "AWS::SNS::TopicPolicy")
    .filter(({ Properties }) => Properties.Topics.some((arn: Json) => arn.Ref === topic))
    .map(({ Properties }) => Properties.PolicyDocument.Statement);
}

/** Whether a statement lets the alarms of a stack publish to a topic. */
export function admits(statement: Json, topic: string, stack: string): boolean {
  const { Effect, Principal, Action, Resource, Condition } = statement;
  const from = JSON.stringify(Condition?.ArnLike?.["aws:SourceArn"] ?? "");
  return (
    Effect === "Allow" &&
    Principal.Service === CLOUDWATCH &&
    Action === "sns:Publish" &&
    Resource.Ref === topic &&
    Condition.StringEquals["aws:SourceAccount"] !== undefined &&
    from.includes(":cloudwatch:") &&
    from.includes(`:alarm:${stack}-*`)
  );
}

/** Whether a key lets CloudWatch encrypt what it publishes. */
export function lends(key: Json): boolean {
  return key.Properties.KeyPolicy.Statement.some(
    ({ Effect, Principal, Action, Resource }: Json) =>
      Effect === "Allow" &&
      Principal.Service === CLOUDWATCH &&
      Resource === "*" &&
      String(Action) === "kms:Decrypt,kms:GenerateDataKey*",
  );
}

/** Why alarms of a synthesized stack would not arrive, by topic. */
export function refusals(resources: Json, stack: string): string[] {
  return named(resources).flatMap((topic) => {
    const key = resources[resources[topic].Properties?.KmsMasterKeyId?.["Fn::GetAtt"]?.[0]];
    const closed = policies(resources, topic).some(
      (statements) => !statements.some((statement: Json) => admits(statement, topic, stack)),
    );
    return [
      ...(closed ? [`the policy of ${topic} does not let CloudWatch publish`] : []),
      ...(key !== undefined && !lends(key) ? [`the key of ${topic} does not let CloudWatch use it`] : []),
    ];
  });
}
