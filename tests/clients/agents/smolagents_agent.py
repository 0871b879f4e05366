"""smolagents: an agent that calls tools, streamed; it ends by calling `final_answer`."""

from __future__ import annotations

from smolagents import OpenAIModel, ToolCallingAgent, tool  # type: ignore[import-not-found] # in an environment of its own

from ..given import BASE_URL, MODEL, SAYS, TASK, TOKEN, must_be


@tool  # type: ignore[untyped-decorator]
def reverse(text: str) -> str:
    """Turn a text around.

    Args:
        text: the text
    """
    from tests.clients.given import reverse  # smolagents takes the source of a tool, and nothing around it

    return reverse(text)


def main() -> None:
    model = OpenAIModel(model_id=MODEL, api_base=BASE_URL, api_key=TOKEN)
    must_be(ToolCallingAgent(tools=[reverse], model=model, stream_outputs=True).run(TASK), SAYS)


if __name__ == "__main__":
    main()
