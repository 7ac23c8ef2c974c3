"""The wire format of OpenAI Agents sessions over the state of the simulator."""
