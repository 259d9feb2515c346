"""AWS as one dictionary: (service, region, operation) to its answer, or to the error it raises."""

from botocore.exceptions import ClientError


class Aws:
    def __init__(self, answers):
        self.answers = answers
        self.asked = []

    def client(self, service, region, **_):
        return _Client(self, service, region)


class _Client:
    def __init__(self, aws, service, region):
        self._aws, self._place = aws, (service, region)

    def __getattr__(self, operation):
        def call(**parameters):
            self._aws.asked.append((*self._place, operation, parameters))
            answer = self._aws.answers[(*self._place, operation)]
            if isinstance(answer, Exception):
                raise answer
            return answer(parameters) if callable(answer) else answer

        return call

    def get_paginator(self, operation):
        return _Pages(getattr(self, operation))


class _Pages:
    def __init__(self, call):
        self._call = call

    def paginate(self, **parameters):
        yield self._call(**parameters)


def refused(code, message="no"):
    return ClientError({"Error": {"Code": code, "Message": message}}, "Operation")
