"""DSPy: a module that calls a tool natively, and one whose answer is streamed."""

from __future__ import annotations

import asyncio

import dspy  # type: ignore[import-not-found] # in an environment of its own

from ..given import BASE_URL, SAYS, TASK, TOKEN, must_arrive, reverse

KNOWN = "openai/gpt-4o-mini"
"""An alias here. DSPy offers tools only to models that it knows."""


class Call(dspy.Signature):  # type: ignore[misc]
    question: str = dspy.InputField()
    tools: list[dspy.Tool] = dspy.InputField()
    calls: dspy.ToolCalls = dspy.OutputField()


async def main() -> None:
    dspy.configure(
        lm=dspy.LM(KNOWN, api_base=BASE_URL, api_key=TOKEN, cache=False),
        adapter=dspy.ChatAdapter(use_native_function_calling=True),
    )
    call = dspy.Predict(Call)(question=TASK, tools=[dspy.Tool(reverse)]).calls.tool_calls[0]
    listener = dspy.streaming.StreamListener(signature_field_name="answer")
    program = dspy.streamify(dspy.Predict("question, result -> answer"), stream_listeners=[listener])
    pieces = [piece async for piece in program(question=TASK, result=reverse(**call.args))]
    must_arrive([piece.chunk for piece in pieces if isinstance(piece, dspy.streaming.StreamResponse)], SAYS.split("\n")[1])


if __name__ == "__main__":
    asyncio.run(main())
