"""Step Functions: three things that AWS does otherwise.

- `States.ALL` matches neither `States.Runtime` nor `States.DataLimitExceeded`:
  https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html
- What fails an iteration of a Map fails the Map with the same error, those of Step Functions itself (`States.Timeout`) among them.
- Each attempt of a task that waits for a task token has a token of its own.
"""

from . import replace

UNCAUGHT = ("States.Runtime", "States.DataLimitExceeded")


def install() -> None:
    _errors()
    _iterations()
    _tokens()


def _errors() -> None:
    from localstack.services.stepfunctions.asl.component.common.error_name.error_equals_decl import ErrorEqualsDecl

    matches = ErrorEqualsDecl._eval_body

    def _eval_body(self, env) -> None:
        if env.stack[-1].error_name not in UNCAUGHT:
            return matches(self, env)
        error = env.stack.pop()
        env.stack.append(any(name.error_name == error.error_name for name in self.error_names))

    replace(ErrorEqualsDecl, "_eval_body", _eval_body)


def _iterations() -> None:
    from localstack.services.stepfunctions.asl.component.common.error_name.custom_error_name import CustomErrorName
    from localstack.services.stepfunctions.asl.component.common.error_name.error_name import ErrorName

    # The engine takes an iteration's error for one that somebody made up, and refuses the names of its own.
    replace(CustomErrorName, "__init__", ErrorName.__init__)


def _tokens() -> None:
    from localstack.services.stepfunctions.asl.component.state.state_execution.state_task.service import resource, state_task_service_callback

    task = state_task_service_callback.StateTaskServiceCallback
    evaluate = task._evaluate_with_timeout

    def _evaluate_with_timeout(self, env) -> None:
        context = env.states.context_object.context_object_data
        waits = self.resource.condition == resource.ResourceCondition.WaitForTaskToken
        if waits and context.get("State", {}).get("RetryCount"):
            env.callback_pool_manager.add(env.states.context_object.update_task_token())
        return evaluate(self, env)

    task._evaluate_with_timeout = _evaluate_with_timeout
