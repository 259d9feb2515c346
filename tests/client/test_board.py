"""Who is told of a writer that is lost, also before any was known: DNS's word alone may have lent connections."""

import threading
from types import SimpleNamespace

import pytest

from farshore.client import lanes
from farshore.client.lanes import Board


class Lane:
    def __init__(self):
        self.losses = self.drops = self.looks = 0

    def drop(self):
        self.drops += 1

    def wake(self):
        self.looks += 1


@pytest.fixture
def board():
    made = Board(threading.Event())
    made.told = []
    made.listeners.append(lambda: made.told.append(1))
    return made


class Session:
    def __init__(self):
        self.resting, self.used = True, 0.0

    def hang_up(self):
        self.resting = False


@pytest.mark.parametrize("late", ["the look's", "the caller's"])
def test_of_a_demoted_writer_one_session_is_kept_whichever_comes_back_last(board, late):
    """Two are out when the pool is dropped: the lane's own look, and the caller whom the server refused."""
    lane = lanes.Lane(None, None, SimpleNamespace(event=threading.Event), board)
    looked, refused = sessions = Session(), Session()
    board.found(lane, 1)
    board.lost(lane)
    if late == "the look's":
        lane.give_back(refused, demoted=True)
        lane.put(looked)
    else:
        lane.put(looked)
        lane.give_back(refused, demoted=True)
    assert [session.resting for session in sessions].count(True) == 1
    board.found(lane, 2)
    lane.put(Session())
    lane.put(another := Session())
    assert another.resting


def test_the_writers_loss_is_told_once(board):
    lane = Lane()
    board.found(lane, 1)
    board.lent(lane)
    board.lost(lane)
    board.lost(lane)
    assert (board.told, lane.losses, lane.drops) == ([1], 1, 1)


def test_a_lane_that_nobody_relies_on_is_not_told_of(board):
    home, other = Lane(), Lane()
    board.lost(home)
    board.found(other, 1)
    board.lost(home)
    assert (board.told, home.losses, board.leads_to(other)) == ([], 0, True)


def test_a_connection_lent_by_dnss_word_is_told_of_before_any_writer_was_known(board):
    lane = Lane()
    board.lent(lane)
    assert board.relies_on(lane)
    board.lost(lane)
    board.lost(lane)
    assert (board.told, lane.losses) == ([1], 1)
    assert not board.relies_on(lane)


def test_dnss_word_was_wrong(board):
    hinted, writer = Lane(), Lane()
    board.lent(hinted)
    board.found(writer, 3)
    assert (board.told, hinted.losses, writer.losses) == ([1], 1, 0)


def test_dnss_word_was_right(board):
    lane = Lane()
    board.lent(lane)
    board.found(lane, 3)
    assert board.told == []
    board.lost(lane)
    assert (board.told, lane.losses) == ([1], 1)
